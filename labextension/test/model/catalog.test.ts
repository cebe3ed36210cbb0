import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { ApiError } from '../../src/api/errors';
import type { CaterEvent } from '../../src/api/types';
import { Catalog, type Row } from '../../src/model/catalog';
import { entry, FakeClock, FakeFeed, FakeSubscriber, settle } from '../support/fakes';

let subscriber: FakeSubscriber;
let feed: FakeFeed;
let clock: FakeClock;
let catalog: Catalog;

beforeEach(() => {
  subscriber = new FakeSubscriber();
  feed = new FakeFeed();
  clock = new FakeClock();
  subscriber.put('', entry('@public', 'area', { writable: true }), entry('foo', 'root'));
  subscriber.put('@public', entry('@public/a.txt', 'text'));
  subscriber.put('foo', entry('foo/dir', 'directory'), entry('foo/x.b2nd', 'array', { shape: [3], dtype: 'int32' }));
  subscriber.put('foo/dir', entry('foo/dir/y.b2nd', 'array', { shape: [4], dtype: 'int32' }));
  catalog = new Catalog({ api: subscriber, feed, clock });
});

const lines = (rows: readonly Row[]): string[] =>
  rows.map(row => '  '.repeat(row.depth) + (row.type === 'entry' ? row.node.entry.name : `(${row.type})`));

const files = (directory: string, count: number) =>
  Array.from({ length: count }, (_, i) => entry(`${directory}/f${String(i).padStart(6, '0')}`, 'file'));

const changed = (root: string, path: string, shape: number[] = [7]): CaterEvent => ({
  type: 'dataset-changed',
  root,
  entry: {
    path,
    etag: 'e2',
    mtime_ns: 1_700_000_000_000_000_000,
    size: 99,
    info: {
      kind: 'array',
      shape,
      chunks: shape,
      blocks: shape,
      dtype: 'float64',
      schunk: {
        cbytes: 1, chunkshape: 1, chunksize: 1, contiguous: true, cratio: 1, nbytes: 1, nchunks: 1, blocksize: 1,
        vlmeta: {},
        cparams: {
          codec: 5, codec_meta: 0, clevel: 1, filters: [], filters_meta: [], typesize: 8, blocksize: 0,
          nthreads: 1, splitmode: 1, tuner: 0, use_dict: false
        }
      }
    }
  }
});

describe('reading', () => {
  test('directories are read when they are expanded, not before', async () => {
    await catalog.start();
    await settle();
    assert.deepEqual(lines(catalog.rows), ['@public', 'foo']);
    assert.equal(subscriber.nasked('foo'), 0);

    catalog.expand('foo');
    await settle();

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '  x.b2nd']);
  });

  test('what is collapsed and expanded again is not read again', async () => {
    await catalog.start();
    await settle();
    catalog.expand('foo');
    await settle();
    catalog.collapse('foo');
    catalog.expand('foo');
    await settle();

    assert.equal(subscriber.nasked('foo'), 1);
    assert.equal(catalog.rows.length, 4);
  });

  test('what arrives while a directory is read for the first time is not missed', async () => {
    await catalog.start();
    await settle();
    const tree = subscriber.tree.bind(subscriber);
    subscriber.tree = async (...asked) => {
      const answer = await tree(...asked);
      subscriber.tree = tree;
      subscriber.put('foo', entry('foo/new.b2nd', 'array'));
      catalog.refresh('foo');
      return answer;
    };
    catalog.expand('foo');
    await settle();

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  new.b2nd']);
  });

  test('an empty directory says so', async () => {
    subscriber.put('@public');
    await catalog.start();
    await settle();
    catalog.expand('@public');
    await settle();

    assert.deepEqual(lines(catalog.rows), ['@public', '  (empty)', 'foo']);
  });

  test('what is expanded is found again after a reload', async () => {
    const saved: string[][] = [];
    const store = {
      load: async () => ['foo', 'foo/dir'],
      save: async (paths: readonly string[]) => void saved.push([...paths])
    };
    const other = new Catalog({ api: subscriber, feed, clock, store });
    await other.start();
    await settle();
    assert.deepEqual(lines(other.rows), ['@public', 'foo', '  dir', '    y.b2nd', '  x.b2nd']);

    other.collapse('foo/dir');
    await clock.turn(1000);

    assert.deepEqual(saved, [['foo']]);
  });
});

describe('pages', () => {
  beforeEach(async () => {
    subscriber.put('foo', ...files('foo', 100_000));
    await catalog.start();
    await settle();
    catalog.expand('foo');
    await settle();
  });

  test('a root of 100,000 files has all its lines after one page', () => {
    assert.equal(catalog.rows.length, 2 + 100_000);
    assert.equal(catalog.rows[2 + 199]?.type, 'entry');
    assert.equal(catalog.rows[2 + 200]?.type, 'pending');
    assert.equal(subscriber.nasked('foo'), 1);
  });

  test('lines on the screen are read, and not all the others', async () => {
    catalog.need('foo', 1460, 1500);
    await settle();

    assert.equal(catalog.rows[2 + 1499]?.type, 'entry');
    assert.equal(subscriber.nasked('foo'), 3);
  });

  const nameAt = (index: number): string | undefined => {
    const row = catalog.rows[index];
    return row?.type === 'entry' ? row.node.entry.name : row?.type;
  };

  test('the last line can be reached, without all that is before it', async () => {
    catalog.need('foo', 99_960, 100_000);
    await settle();

    assert.equal(nameAt(100_001), 'f099999');
    assert.equal(subscriber.nasked('foo'), 2);
    assert.equal(catalog.rows.length, 2 + 100_000);
    const row = catalog.rows[100_001];
    assert.ok(row?.type === 'entry');
    assert.deepEqual([row.place, row.siblings], [100_000, 100_000]);
    assert.equal(catalog.find('foo/f099999')?.path, 'foo/f099999');
  });

  test('who scrolls on from there reads on, up and down', async () => {
    catalog.need('foo', 50_000, 50_040);
    await settle();
    const known = catalog.rows.flatMap((row, at) => (row.type === 'entry' && at > 202 ? [at - 1] : []));
    const [first = 0, last = 0] = [known[0], known.at(-1)];
    catalog.need('foo', first - 20, first - 1);
    await settle();
    catalog.need('foo', last + 1, last + 20);
    await settle();

    assert.equal(subscriber.nasked('foo'), 4);
    for (const place of [first - 400, first - 1, first, last, last + 1, last + 400]) {
      assert.equal(nameAt(1 + place), `f${String(place - 1).padStart(6, '0')}`);
    }
  });

  test('what lies between is read when it is come to, and nothing is there twice', async () => {
    catalog.need('foo', 3_000, 3_040);
    await settle();
    for (let last = 400; last < 4_000; last += 400) {
      catalog.need('foo', last - 40, last);
      await settle();
    }

    const names = catalog.rows.slice(2, 3_602).map((_, i) => nameAt(2 + i));
    assert.deepEqual(names, files('foo', 3_600).map(each => each.name));
  });

  test('a change keeps what is on the screen', async () => {
    catalog.need('foo', 99_960, 100_000);
    await settle();
    subscriber.put('foo', ...files('foo', 100_010).slice(1));
    catalog.refresh('foo');
    await settle();

    assert.equal(nameAt(2), 'f000001');
    assert.equal(nameAt(100_000), 'f099999');
    assert.equal(catalog.rows.length, 2 + 100_009);
  });

  test('what is removed leaves no gap, wherever it was', async () => {
    catalog.need('foo', 99_960, 100_000);
    await settle();
    const remove = (path: string): void => feed.happened.emit({ type: 'dataset-removed', root: 'foo', path });
    remove('f000003');
    remove('f099990');

    assert.equal(nameAt(2 + 3), 'f000004');
    assert.equal(nameAt(99_999), 'f099999');
    assert.equal(nameAt(99_990), 'f099989');
    assert.equal(nameAt(99_991), 'f099991');
    assert.equal(catalog.rows.length, 2 + 99_998);
    assert.equal(catalog.find('foo/f099990'), null);
  });

  test('places of what is gone meanwhile are not asked for again and again', async () => {
    const tree = subscriber.tree.bind(subscriber);
    subscriber.tree = async (path, options, signal) => {
      const page = await tree(path, options, signal);
      return options?.offset === undefined ? page : { ...page, entries: page.entries.slice(3) };
    };
    catalog.need('foo', 50_000, 50_040);
    await settle();
    const count = subscriber.nasked('foo');
    catalog.need('foo', 50_000, 50_040);
    await settle();

    assert.equal(subscriber.nasked('foo'), count);
  });

  test('a link leads to a row far down with few questions', async () => {
    await catalog.reveal('foo/f080000');

    assert.equal(catalog.selected, 'foo/f080000');
    assert.equal(nameAt(2 + 80_000), 'f080000');
    assert.ok(subscriber.nasked('foo') <= 3);
    await catalog.reveal('foo/none');
    assert.ok(subscriber.nasked('foo') <= 6);
  });

  test('directories far down open', async () => {
    const many = files('foo', 10_000).map(each => ({ ...each, kind: 'directory' as const }));
    subscriber.put('foo', ...many);
    subscriber.put('foo/f009999', entry('foo/f009999/a.txt', 'text'));
    catalog.refresh('foo');
    await settle();
    await catalog.reveal('foo/f009999/a.txt');
    await settle();

    assert.equal(nameAt(1 + 10_000 + 1), 'a.txt');
    assert.equal(catalog.find('foo/f009999/a.txt')?.path, 'foo/f009999/a.txt');
  });

  test('lines tell their place among all, not among those that are known', () => {
    const row = catalog.rows[2 + 10];
    assert.ok(row?.type === 'entry');
    assert.deepEqual([row.place, row.siblings], [11, 100_000]);
  });

  test('a refresh keeps as much as was read', async () => {
    catalog.need('foo', 1460, 1500);
    await settle();
    catalog.refresh();
    await settle();

    assert.equal(catalog.rows[2 + 1399]?.type, 'entry');
  });
});

describe('failures', () => {
  test('a directory that can not be read shows why, and can be tried again', async () => {
    subscriber.failing.set('foo', new ApiError({ message: 'the publisher is away' }, 503));
    await catalog.start();
    await settle();
    catalog.expand('foo');
    await settle();
    const row = catalog.rows[2];
    assert.ok(row?.type === 'problem');
    assert.equal(row.error.sentence, 'The publisher is away.');

    subscriber.failing.clear();
    catalog.retry('foo');
    await settle();

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '  x.b2nd']);
  });

  test('a failed refresh keeps what is known', async () => {
    await catalog.start();
    await settle();
    catalog.expand('foo');
    await settle();
    subscriber.failing.set('foo', new ApiError({ message: 'the publisher is away' }, 503));
    catalog.refresh();
    await settle();

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '  x.b2nd', '  (problem)']);
  });

  test('what failed for a passing reason is read again when the stream is back', async () => {
    await catalog.start();
    await settle();
    subscriber.failing.set('foo', new ApiError({ message: 'the server does not answer' }));
    catalog.expand('foo');
    await settle();
    assert.equal(catalog.rows[2]?.type, 'problem');

    subscriber.failing.clear();
    feed.stateChanged.emit('open');
    await clock.turn(1000);

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '  x.b2nd']);
  });

  test('roots that can not be listed are an error of the catalog', async () => {
    subscriber.failing.set('', new ApiError({ message: 'no answer' }));
    await catalog.start();
    await settle();
    assert.equal(catalog.error?.message, 'no answer');

    subscriber.failing.clear();
    catalog.retry('');
    await settle();

    assert.equal(catalog.error, null);
    assert.equal(catalog.rows.length, 2);
  });

  test('what is read when the catalog goes is dropped', async () => {
    void catalog.start();
    catalog.dispose();
    await settle();

    assert.equal(catalog.rows.length, 0);
    assert.equal(clock.ntimers, 0);
  });
});

describe('changes', () => {
  beforeEach(async () => {
    await catalog.start();
    await settle();
    catalog.expand('foo');
    catalog.expand('foo/dir');
    await settle();
  });

  test('a file that changed is shown as it is now, without reading', () => {
    const before = subscriber.asked.length;
    feed.happened.emit(changed('foo', 'x.b2nd', [8, 9]));

    const found = catalog.find('foo/x.b2nd')?.entry;
    assert.deepEqual([found?.shape, found?.dtype, found?.size], [[8, 9], 'float64', 99]);
    assert.equal(subscriber.asked.length, before);
  });

  test('a new file appears in its place', async () => {
    subscriber.put('foo/dir', entry('foo/dir/a.b2nd', 'array'), entry('foo/dir/y.b2nd', 'array'));
    feed.happened.emit(changed('foo', 'dir/a.b2nd'));
    await clock.turn(500);

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '    a.b2nd', '    y.b2nd', '  x.b2nd']);
  });

  test('a thousand new files cost few readings', async () => {
    const before = subscriber.nasked('foo');
    for (let i = 0; i < 1000; i += 1) {
      feed.happened.emit(changed('foo', `n${i}.b2nd`));
    }
    await clock.turn(1000);

    assert.ok(subscriber.nasked('foo') - before <= 2);
  });

  test('a thousand changes are told as few, and none is late for who looks', async () => {
    let told = 0;
    catalog.changed.connect(() => void (told += 1));
    for (let i = 1; i <= 1000; i += 1) {
      feed.happened.emit(changed('foo', 'x.b2nd', [i]));
    }
    assert.deepEqual(catalog.find('foo/x.b2nd')?.entry.shape, [1000]);
    assert.equal(told, 0);

    await clock.turn(50);

    assert.equal(told, 1);
  });

  test('a new directory appears with its first file', async () => {
    subscriber.put('foo', entry('foo/dir', 'directory'), entry('foo/new', 'directory'), entry('foo/x.b2nd', 'array'));
    feed.happened.emit(changed('foo', 'new/deep/z.b2nd'));
    await clock.turn(500);

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '    y.b2nd', '  new', '  x.b2nd']);
  });

  test('a file that is gone goes at once, and the selection with it', () => {
    catalog.select('foo/x.b2nd');
    feed.happened.emit({ type: 'dataset-removed', root: 'foo', path: 'x.b2nd' });

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '    y.b2nd']);
    assert.equal(catalog.selected, null);
  });

  test('a directory goes with its last file', async () => {
    subscriber.put('foo', entry('foo/x.b2nd', 'array'));
    subscriber.directories.delete('foo/dir');
    feed.happened.emit({ type: 'dataset-removed', root: 'foo', path: 'dir/y.b2nd' });
    await clock.turn(500);

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  x.b2nd']);
  });

  test('a root whose publisher left is marked, and all below it', () => {
    feed.happened.emit({ type: 'root-changed', root: 'foo', http: '', status: 'offline' });

    const stale = catalog.rows.filter(row => row.type === 'entry' && row.isStale);
    assert.deepEqual(lines(stale), ['foo', '  dir', '    y.b2nd', '  x.b2nd']);
  });

  test('a root that is back is read again', async () => {
    feed.happened.emit({ type: 'root-changed', root: 'foo', http: '', status: 'offline' });
    await clock.turn(500);
    const before = subscriber.nasked('foo');
    feed.happened.emit({ type: 'root-changed', root: 'foo', http: '', status: 'online' });
    await clock.turn(500);

    assert.ok(subscriber.nasked('foo') > before);
    assert.ok(catalog.rows.every(row => row.type === 'entry' && !row.isStale));
  });

  test('after missed events everything that is shown is read again, and stays expanded', async () => {
    const before = subscriber.asked.length;
    feed.happened.emit({ type: 'resync', root: null });
    await clock.turn(500);

    const read = new Set(subscriber.asked.slice(before).map(one => one.path));
    assert.deepEqual([...read].sort(), ['', 'foo', 'foo/dir']);
    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '    y.b2nd', '  x.b2nd']);
  });

  test('changes in directories that were never opened cost nothing', async () => {
    const before = subscriber.asked.length;
    feed.happened.emit(changed('@public', 'b.b2nd'));
    await clock.turn(500);

    assert.equal(subscriber.asked.length, before);
  });
});

describe('search', () => {
  beforeEach(async () => {
    await catalog.start();
    await settle();
    catalog.expand('foo');
    await settle();
  });

  test('the server is asked once for what was typed in a row', async () => {
    const before = subscriber.asked.length;
    catalog.setFilter('y');
    catalog.setFilter('y.');
    catalog.setFilter('y.b');
    await clock.turn(500);

    const asked = subscriber.asked.slice(before).map(one => [one.path, one.options.filter, one.options.recursive]);
    assert.deepEqual(asked, [
      ['@public', 'y.b', true],
      ['foo', 'y.b', true]
    ]);
    assert.deepEqual(lines(catalog.rows), ['foo', '  y.b2nd']);
    assert.equal(catalog.nmatches, 1);
  });

  test('the tree comes back as it was', async () => {
    const before = lines(catalog.rows);
    catalog.setFilter('y');
    await clock.turn(500);
    catalog.setFilter('');

    assert.deepEqual(lines(catalog.rows), before);
  });

  test('a root that was found can be collapsed for the search only', async () => {
    catalog.setFilter('y');
    await clock.turn(500);
    catalog.collapse('foo');
    assert.deepEqual(lines(catalog.rows), ['foo']);

    catalog.setFilter('');

    assert.equal(catalog.isExpanded('foo'), true);
  });

  test('a directory that was found is a line, not a tree of its own', async () => {
    catalog.expand('foo/dir');
    await settle();
    const before = subscriber.nasked('foo/dir');
    catalog.setFilter('d');
    await clock.turn(500);

    assert.deepEqual(lines(catalog.rows), ['foo', '  dir', '  x.b2nd', '  y.b2nd']);
    assert.equal(subscriber.nasked('foo/dir'), before);
  });

  test('a new file that matches appears among what was found', async () => {
    catalog.setFilter('y');
    await clock.turn(500);
    subscriber.put('foo/dir', entry('foo/dir/y.b2nd', 'array'), entry('foo/dir/yy.b2nd', 'array'));
    feed.happened.emit(changed('foo', 'dir/yy.b2nd'));
    await clock.turn(500);

    assert.deepEqual(lines(catalog.rows), ['foo', '  y.b2nd', '  yy.b2nd']);
  });

  test('what was found is shown in the tree on demand', async () => {
    catalog.setFilter('y');
    await clock.turn(500);
    await catalog.reveal('foo/dir/y.b2nd');

    assert.deepEqual(lines(catalog.rows), ['@public', 'foo', '  dir', '    y.b2nd', '  x.b2nd']);
    assert.equal(catalog.selected, 'foo/dir/y.b2nd');
  });
});

describe('the contents of one directory', () => {
  const names = (path: string): string[] => (catalog.listing(path)?.entries ?? []).map(({ name }) => name);

  test('are read without a trace in the tree', async () => {
    await catalog.start();
    await catalog.load('foo/dir');

    assert.deepEqual(names('foo/dir'), ['y.b2nd']);
    assert.deepEqual(lines(catalog.rows), ['@public', 'foo']);
    assert.equal(catalog.selected, null);
  });

  test('are read while something is looked for, too', async () => {
    await catalog.start();
    await settle();
    catalog.setFilter('y');
    await clock.turn(500);
    await catalog.load('foo/dir');

    assert.deepEqual(names('foo/dir'), ['y.b2nd']);
    assert.equal(catalog.filter, 'y');
  });

  test('come page by page, as far as they are asked for', async () => {
    subscriber.put('foo', ...files('foo', 5_000));
    await catalog.start();
    await catalog.load('foo');
    const { entries, total, isComplete } = catalog.listing('foo') ?? assert.fail();
    assert.deepEqual({ known: entries.length, total, isComplete }, { known: 200, total: 5_000, isComplete: false });

    await catalog.load('foo', total);

    assert.equal(catalog.listing('foo')?.entries.length, 5_000);
    assert.equal(catalog.listing('foo')?.isComplete, true);
  });

  test('change when the directory changes, expanded or not', async () => {
    await catalog.start();
    await catalog.load('foo/dir');
    subscriber.put('foo/dir', entry('foo/dir/y.b2nd', 'array'), entry('foo/dir/z.b2nd', 'array'));
    feed.happened.emit(changed('foo', 'dir/z.b2nd'));
    await clock.turn(500);

    assert.deepEqual(names('foo/dir'), ['y.b2nd', 'z.b2nd']);
  });

  test('tell why they can not be read', async () => {
    subscriber.failing.set('foo', new ApiError({ message: 'no', code: 'x' }, 503));
    await catalog.start();
    await catalog.load('foo');

    assert.equal(catalog.listing('foo')?.error?.sentence, 'No.');
  });

  test('are not known before they are read, or of a file', async () => {
    await catalog.start();
    await settle();
    assert.equal(catalog.listing('foo'), null);
    await catalog.load('foo/x.b2nd');

    assert.equal(catalog.listing('foo/x.b2nd'), null);
  });
});
