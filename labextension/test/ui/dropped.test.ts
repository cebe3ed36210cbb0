import assert from 'node:assert/strict';
import { test } from 'node:test';

import { groupsOf, groupsOfFolder, readDropped } from '../../src/ui/dropped';

const file = (name: string): File => new File(['x'], name);

/** What a browser hands out for files and folders that are dropped; a reader gives two entries at a time. */
function entryOf(name: string, children: FileSystemEntry[] | null): FileSystemEntry {
  if (children === null) {
    return { name, isFile: true, isDirectory: false, file: (done: FileCallback) => done(file(name)) } as never;
  }
  const rest = [...children];
  const readEntries = (done: FileSystemEntriesCallback): void => done(rest.splice(0, 2));
  return { name, isFile: false, isDirectory: true, createReader: () => ({ readEntries }) } as never;
}

function transfer(...entries: FileSystemEntry[]): DataTransfer {
  const items = entries.map(entry => ({ webkitGetAsEntry: () => entry }));
  return { items, files: entries.filter(entry => entry.isFile).map(entry => file(entry.name)) } as never;
}

const told = (groups: readonly { directory: string; files: readonly File[] }[]): Record<string, string[]> =>
  Object.fromEntries(groups.map(({ directory, files }) => [directory, files.map(({ name }) => name).sort()]));

test('files go where they are dropped', async () => {
  const dropped = await readDropped(transfer(entryOf('a', null), entryOf('b', null)));

  assert.deepEqual(told(groupsOf('@public', dropped)), { '@public': ['a', 'b'] });
});

test('a folder keeps its tree with empty folders, and hidden names stay away', async () => {
  const inner = entryOf('inner', [entryOf('c', null), entryOf('d', null), entryOf('e', null)]);
  const folder = entryOf('run', [entryOf('b', null), inner, entryOf('empty', []), entryOf('.git', [entryOf('x', null)])]);
  const dropped = await readDropped(transfer(entryOf('a', null), folder));

  assert.deepEqual(told(groupsOf('@public', dropped)), {
    '@public': ['a'],
    '@public/run': ['b'],
    '@public/run/inner': ['c', 'd', 'e'],
    '@public/run/empty': []
  });
});

test('a folder that is chosen keeps its tree, and hidden names stay away', () => {
  const files = ['run/b', 'run/inner/c', 'run/inner/d', 'run/.git/x', 'run/.hidden'].map(path =>
    Object.defineProperty(file(path.slice(path.lastIndexOf('/') + 1)), 'webkitRelativePath', { value: path })
  );

  assert.deepEqual(told(groupsOfFolder('@public', files)), { '@public/run': ['b'], '@public/run/inner': ['c', 'd'] });
});
