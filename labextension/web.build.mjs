// Builds the page of the subscriber into ../caterva2/static: hashed names, compressed beside, no source maps.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const goal = join(here, '..', 'caterva2', 'static');
const out = `${goal}.new`;

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const result = await build({
  entryPoints: { main: join(here, 'src/web/main.tsx'), style: join(here, 'src/web/style.css') },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  jsx: 'automatic',
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  define: { 'process.env.NODE_ENV': '"production"' },
  // JupyterLab's components are not on the page.
  alias: { '@jupyterlab/ui-components': join(here, 'src/web/labui.tsx') },
  legalComments: 'linked',
  metafile: true,
  logLevel: 'warning'
});

const names = Object.keys(result.metafile.outputs).map(name => basename(name));
const icon = readFileSync(join(here, 'src/web/icon.svg'));
const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8).toUpperCase()}.svg`;
writeFileSync(join(out, iconName), icon);
// What the script imports is asked for together with it, not only when it has been read.
const [, main] = Object.entries(result.metafile.outputs).find(([name]) => /^main-.*\.js$/.test(basename(name)));
const early = main.imports.filter(({ kind }) => kind === 'import-statement');
const preloads = early.map(({ path }) => `<link rel="modulepreload" href="static/${basename(path)}">`);
const page = readFileSync(join(here, 'src/web/index.html'), 'utf8')
  .replace('%icon%', iconName)
  .replace('%style%', names.find(name => /^style-.*\.css$/.test(name)))
  .replace('%preloads%', preloads.join('\n    '))
  .replace('%script%', names.find(name => /^main-.*\.js$/.test(name)));
writeFileSync(join(out, 'index.html'), page);

for (const name of readdirSync(out).filter(name => name !== 'index.html' && !name.endsWith('.txt'))) {
  const bytes = readFileSync(join(out, name));
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } };
  writeFileSync(join(out, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  writeFileSync(join(out, `${name}.br`), brotliCompressSync(bytes, brotli));
}
rmSync(goal, { recursive: true, force: true });
renameSync(out, goal);
if (process.argv.includes('--sizes')) {
  for (const name of readdirSync(goal).filter(name => !name.endsWith('.br'))) {
    console.log(String(statSync(join(goal, name)).size).padStart(8), name);
  }
}
