// Bundles every test/**/*.test.ts for Node and hands them to its own test runner.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '..', 'test-build');
const entryPoints = readdirSync(here, { recursive: true })
  .filter(name => name.endsWith('.test.ts') || name.endsWith('.test.tsx'))
  .map(name => join(here, name));

rmSync(out, { recursive: true, force: true });
await build({
  entryPoints,
  outdir: out,
  outbase: here,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  outExtension: { '.js': '.mjs' },
  sourcemap: 'inline',
  jsx: 'automatic',
  logLevel: 'warning',
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }
});
const built = readdirSync(out, { recursive: true })
  .filter(name => name.endsWith('.test.mjs'))
  .map(name => join(out, name));
const run = spawnSync(
  process.execPath,
  ['--test', '--enable-source-maps', ...process.argv.slice(2), ...built],
  { stdio: 'inherit' }
);
process.exit(run.status ?? 1);
