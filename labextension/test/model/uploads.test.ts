import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import type { PutOptions } from '../../src/api/client';
import { ApiError } from '../../src/api/errors';
import { Uploads } from '../../src/model/uploads';
import { FakeArea } from '../support/fakeArea';
import { settle } from '../support/fakes';

interface Put {
  readonly name: string;
  readonly options: PutOptions;
  finish(): void;
  fail(error: unknown): void;
}

let puts: Put[];
let uploads: Uploads;

beforeEach(() => {
  puts = [];
  const area = Object.assign(new FakeArea(), {
    put: (directory: string, file: File, options: PutOptions = {}): Promise<string> =>
      new Promise((resolve, reject) => {
        puts.push({
          name: file.name,
          options,
          finish: () => resolve(`${directory}/${file.name}`),
          fail: reject
        });
        options.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
      })
  });
  uploads = new Uploads(area);
});

const file = (name: string, size = 100): File => new File(['x'.repeat(size)], name);
const states = (): string[] => uploads.list.map(upload => `${upload.name} ${upload.state}`);

describe('the queue', () => {
  test('two files are sent at once, the others wait', async () => {
    uploads.add('@public', [file('a'), file('b'), file('c')]);
    assert.deepEqual(states(), ['a sending', 'b sending', 'c waiting']);

    puts[0]?.finish();
    await settle();

    assert.deepEqual(states(), ['a done', 'b sending', 'c sending']);
  });

  test('progress is that of the file, and at its end the server checks', () => {
    uploads.add('@public', [file('a', 100)]);
    puts[0]?.options.onProgress?.(150, 300);
    assert.equal(uploads.list[0]?.sent, 50);

    puts[0]?.options.onProgress?.(300, 300);

    assert.deepEqual(states(), ['a storing']);
  });

  test('arrived files are told with their path', async () => {
    const paths: string[] = [];
    uploads.arrived.connect((_, path) => void paths.push(path));
    uploads.add('@public/dir', [file('a')]);
    puts[0]?.finish();
    await settle();

    assert.deepEqual(paths, ['@public/dir/a']);
    assert.equal(uploads.isBusy, false);
  });

  test('what is cancelled makes room for the next', async () => {
    uploads.add('@public', [file('a'), file('b'), file('c')]);
    const first = uploads.list[0];
    assert.ok(first);
    uploads.dismiss(first);
    await settle();

    assert.deepEqual(states(), ['b sending', 'c sending']);
    assert.equal(puts[0]?.options.signal?.aborted, true);
  });
});

describe('a file of the same name', () => {
  beforeEach(async () => {
    uploads.add('@public', [file('a')]);
    puts[0]?.fail(new ApiError({ message: 'exists', code: 'dataset-changed' }, 412));
    await settle();
  });

  test('is never replaced without a question', () => {
    assert.equal(puts[0]?.options.overwrite, false);
    assert.deepEqual(states(), ['a asking']);
  });

  test('is replaced if the user says so', async () => {
    const upload = uploads.list[0];
    assert.ok(upload);
    uploads.answer(upload, true);
    assert.equal(puts[1]?.options.overwrite, true);

    puts[1]?.finish();
    await settle();

    assert.deepEqual(states(), ['a done']);
  });

  test('stays if the user says so', () => {
    const upload = uploads.list[0];
    assert.ok(upload);
    uploads.dismiss(upload);

    assert.deepEqual(states(), []);
    assert.equal(puts.length, 1);
  });
});

test('a failed upload tells why, and can be tried again', async () => {
  uploads.add('@public', [file('a')]);
  puts[0]?.fail(new ApiError({ message: 'the quota of 1 kB is used up', code: 'quota-exceeded' }, 400));
  await settle();
  const upload = uploads.list[0];
  assert.equal(upload?.error?.sentence, 'The quota of 1 kB is used up.');

  assert.ok(upload);
  uploads.resume(upload);

  assert.deepEqual(states(), ['a sending']);
});

describe('files that are chosen together', () => {
  const taken = (): ApiError => new ApiError({ message: 'exists' }, 412);

  test('are replaced by one answer, those too of which it is not yet known', async () => {
    uploads.add('@public', [file('a'), file('b'), file('c')]);
    puts[0]?.fail(taken());
    await settle();
    const [asked] = uploads.list;
    assert.ok(asked);
    assert.equal(asked.batch.together, 3);
    uploads.answer(asked, true, true);
    puts[1]?.fail(taken());
    await settle();

    assert.deepEqual(states(), ['a sending', 'b waiting', 'c sending']);
    puts[2]?.finish();
    await settle();
    const replaced = puts.filter(put => put.options.overwrite).map(put => put.name);
    assert.deepEqual(replaced, ['a', 'b']);
  });

  test('keep what is there by one answer', async () => {
    uploads.add('@public', [file('a'), file('b'), file('c')]);
    puts[0]?.fail(taken());
    await settle();
    const [asked] = uploads.list;
    assert.ok(asked);
    uploads.answer(asked, false, true);
    puts[1]?.fail(taken());
    puts[2]?.finish();
    await settle();

    assert.deepEqual(states(), ['c done']);
  });

  test('an answer for all does not hold for what is chosen later', async () => {
    uploads.add('@public', [file('a')]);
    puts[0]?.fail(taken());
    await settle();
    const [asked] = uploads.list;
    assert.ok(asked);
    uploads.answer(asked, false, true);
    uploads.add('@public', [file('b')]);
    puts[1]?.fail(taken());
    await settle();

    assert.deepEqual(states(), ['b asking']);
  });
});

test('a file that is on its way already is not sent twice', () => {
  const same = file('a');
  uploads.add('@public', [same]);
  uploads.add('@public', [same]);

  assert.deepEqual(states(), ['a sending']);
});
