import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { ApiError } from '../../src/api/errors';
import { PART } from '../../src/model/transfer';
import { UploadNotes, type NoteStore } from '../../src/model/uploadNotes';
import { Uploads, type Upload } from '../../src/model/uploads';
import { AWAY, FakeArea } from '../support/fakeArea';
import { FakeClock } from '../support/fakes';

class FakeStore implements NoteStore {
  readonly texts = new Map<string, string>();

  getItem(key: string): string | null {
    return this.texts.get(key) ?? null;
  }

  setItem(key: string, text: string): void {
    this.texts.set(key, text);
  }
}

const SIZE = 2 * PART + 1000;
const PATH = '@personal/large.bin';
const bytes = new Uint8Array(SIZE).map((_, i) => (i * 31) % 251);
const large = (name = 'large.bin', lastModified = 5): File => new File([bytes], name, { lastModified });

let area: FakeArea;
let clock: FakeClock;
let store: FakeStore;
let uploads: Uploads;

const open = (): Uploads => new Uploads(area, { notes: new UploadNotes(store, 'u', clock), clock });
const parts = (): string[] => area.asked.filter(word => word.startsWith('part'));

/** Reading files takes turns of Node itself. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    await new Promise(resolve => setImmediate(resolve));
  }
}

async function turn(ms: number): Promise<void> {
  await clock.turn(ms);
  await settled();
}

function only(list: Uploads = uploads): Upload {
  const [upload] = list.list;
  assert.ok(upload);
  return upload;
}

function isWhole(): void {
  assert.ok(Buffer.from(bytes).equals(Buffer.from(area.files.get(PATH) ?? new Uint8Array())));
}

beforeEach(() => {
  area = new FakeArea();
  clock = new FakeClock();
  store = new FakeStore();
  uploads = open();
});

test('a large file goes in parts and arrives byte for byte', async () => {
  uploads.add('@personal', [large()]);
  await settled();

  assert.equal(only().state, 'done');
  assert.deepEqual(parts(), ['part 0', `part ${PART}`, `part ${2 * PART}`]);
  isWhole();
});

test('a file of one part goes in one request', async () => {
  uploads.add('@personal', [new File([bytes.slice(0, PART)], 'small.bin')]);
  await settled();

  assert.deepEqual(area.asked, ['put small.bin']);
});

describe('when the server is away', () => {
  test('an upload says so, and goes on by itself from where the server is', async () => {
    area.mishaps.push({ request: 'part', error: AWAY() }, { request: 'state', error: AWAY() });
    uploads.add('@personal', [large()]);
    await settled();
    assert.equal(only().state, 'away');
    assert.equal(uploads.isBusy, true);

    await turn(1_000);
    assert.equal(only().state, 'away');
    await turn(2_000);

    assert.equal(only().state, 'done');
    isWhole();
  });

  test('what arrived before the answer was lost is not sent twice', async () => {
    area.mishaps.push({ request: 'part', error: AWAY(), after: true });
    uploads.add('@personal', [large()]);
    await settled();
    await turn(1_000);

    assert.deepEqual(parts(), ['part 0', `part ${PART}`, `part ${2 * PART}`]);
    isWhole();
  });

  test('it is tried at once if somebody knows that it is there again', async () => {
    area.mishaps.push({ request: 'part', error: new ApiError({ message: 'gateway' }, 502) });
    uploads.add('@personal', [large()]);
    await settled();
    uploads.wake();
    await settled();

    assert.equal(only().state, 'done');
  });

  test('small files wait, too', async () => {
    area.mishaps.push({ request: 'put', error: AWAY() });
    uploads.add('@personal', [new File(['x'], 'small.txt')]);
    await settled();
    assert.equal(only().state, 'away');

    await turn(1_000);

    assert.equal(only().state, 'done');
  });

  test('a file that got its name while the answer was lost has arrived', async () => {
    area.mishaps.push({ request: 'finish', error: AWAY(), after: true });
    uploads.add('@personal', [large()]);
    await settled();
    await turn(1_000);

    assert.equal(only().state, 'done');
    assert.equal(parts().length, 3);
  });

  test('a file that can not be read any more is no matter of the server', async () => {
    const gone = large();
    gone.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException('', 'NotReadableError')) }) as unknown as Blob;
    area.mishaps.push({ request: 'part', error: AWAY() });
    uploads.add('@personal', [gone]);
    await settled();

    assert.equal(only().state, 'failed');
    assert.match(only().error?.sentence ?? '', /Choose it once more/);
  });
});

test('an upload that the server has lost begins again', async () => {
  area.mishaps.push({ request: 'part', error: AWAY(), after: true });
  uploads.add('@personal', [large()]);
  await settled();
  area.begun.clear();
  await turn(1_000);

  assert.equal(only().state, 'done');
  assert.deepEqual(parts(), ['part 0', 'part 0', `part ${PART}`, `part ${2 * PART}`]);
});

test('another end than expected is asked for', async () => {
  area.mishaps.push({ request: 'part', error: new ApiError({ message: 'busy', code: 'upload-offset' }, 409) });
  uploads.add('@personal', [large()]);
  await settled();
  await turn(1_000);

  assert.equal(only().state, 'done');
});

test('what does not pass by itself is told, and goes on where it was', async () => {
  area.mishaps.push({ request: 'part', error: AWAY(), after: true });
  area.mishaps.push({ request: 'state', error: new ApiError({ message: 'log in' }, 401) });
  uploads.add('@personal', [large()]);
  await settled();
  await turn(1_000);
  assert.equal(only().state, 'failed');

  uploads.resume(only());
  await settled();

  assert.equal(only().state, 'done');
  assert.equal(parts().length, 3);
});

describe('pausing', () => {
  let openGate: () => void;

  beforeEach(async () => {
    area.gate = new Promise(resolve => {
      openGate = resolve;
    });
    uploads.add('@personal', [large()]);
    await settled();
  });

  test('stops an upload until it is resumed', async () => {
    uploads.hold(only());
    openGate();
    await settled();
    assert.equal(only().state, 'held');
    assert.equal(area.files.size, 0);

    uploads.resume(only());
    await settled();

    assert.equal(only().state, 'done');
    isWhole();
  });

  test('makes room for the next', async () => {
    uploads.add('@personal', [large('b.bin'), large('c.bin')]);
    await settled();
    uploads.hold(only());

    assert.deepEqual(
      uploads.list.map(upload => upload.state),
      ['held', 'sending', 'sending']
    );
  });

  test('cancelling takes what has arrived away from the server', async () => {
    openGate();
    uploads.dismiss(only());
    await settled();

    assert.equal(area.begun.size, 0);
    assert.equal(uploads.list.length, 0);
    assert.deepEqual(new UploadNotes(store, 'u', clock).left(), []);
  });
});

describe('a large file of a name that is taken', () => {
  beforeEach(async () => {
    area.store(PATH, new Uint8Array([1]));
    uploads.add('@personal', [large()]);
    await settled();
  });

  test('is asked about before a byte is sent', () => {
    assert.equal(only().state, 'asking');
    assert.deepEqual(area.asked, []);
  });

  test('replaces it if the user says so', async () => {
    uploads.answer(only(), true);
    await settled();

    assert.equal(only().state, 'done');
    isWhole();
  });
});

test('a name that is taken meanwhile is asked about, and nothing is sent twice', async () => {
  let openGate = (): void => undefined;
  area.gate = new Promise(resolve => {
    openGate = resolve;
  });
  uploads.add('@personal', [large()]);
  await settled();
  area.store(PATH, new Uint8Array([1]));
  openGate();
  await settled();
  assert.equal(only().state, 'asking');

  uploads.answer(only(), true);
  await settled();

  assert.equal(parts().length, 3);
  isWhole();
});

describe('after a reload', () => {
  beforeEach(async () => {
    area.mishaps.push({ request: 'part', error: AWAY(), after: true });
    uploads.add('@personal', [large()]);
    await settled();
    uploads.leave();
    uploads = open();
  });

  test('an upload is in sight, and nothing warns who leaves again', () => {
    const { state, name, sent } = only();
    assert.deepEqual({ state, name, sent }, { state: 'left', name: 'large.bin', sent: 0 });
    assert.equal(uploads.isBusy, false);
  });

  test('it goes on when the same file is dropped', async () => {
    uploads.add('@personal', [large()]);
    await settled();

    assert.equal(uploads.list.length, 1);
    assert.equal(only().state, 'done');
    assert.deepEqual(parts(), ['part 0', `part ${PART}`, `part ${2 * PART}`]);
    isWhole();
    assert.deepEqual(open().list, []);
  });

  test('it goes on when its file is chosen', async () => {
    uploads.choose(only(), large());
    await settled();

    assert.equal(only().state, 'done');
    isWhole();
  });

  test('another file is refused with a sentence', () => {
    uploads.choose(only(), large('large.bin', 6));

    assert.equal(only().state, 'left');
    assert.match(only().error?.sentence ?? '', /another file/);
  });

  test('cancelling it frees its room', async () => {
    uploads.dismiss(only());
    await settled();

    assert.equal(area.begun.size, 0);
    assert.deepEqual(open().list, []);
  });

  test('it is forgotten after a day', async () => {
    await clock.turn(25 * 3600 * 1000);

    assert.deepEqual(open().list, []);
  });
});

test('a browser that keeps nothing, or nonsense, uploads all the same', async () => {
  store.setItem('u', '[{"id": 3}, "x"');
  const broken: NoteStore = {
    getItem: key => store.getItem(key),
    setItem: () => {
      throw new DOMException('full', 'QuotaExceededError');
    }
  };
  uploads = new Uploads(area, { notes: new UploadNotes(broken, 'u', clock), clock });
  uploads.add('@personal', [large()]);
  await settled();

  assert.equal(only().state, 'done');
});

test('a folder without files is made', async () => {
  uploads.addAll([
    { directory: '@personal/run/empty', files: [] },
    { directory: '@personal/run', files: [new File(['x'], 'a.txt')] }
  ]);
  await settled();

  assert.deepEqual(area.directories, ['@personal/run/empty']);
  assert.deepEqual([...area.files.keys()], ['@personal/run/a.txt']);
});

test('the tally counts what is out of sight, too', async () => {
  uploads.add(
    '@personal',
    Array.from({ length: 30 }, (_, i) => new File(['xyz'], `${i}.txt`))
  );
  await settled();

  assert.equal(uploads.list.length, 20);
  assert.deepEqual(uploads.tally, { nfiles: 30, narrived: 30, size: 90, sent: 90 });
});
