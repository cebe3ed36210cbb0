import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { Api } from '../../src/api/client';
import { ApiError, asSentence, isAborted } from '../../src/api/errors';
import type { Host, UploadBody, UploadOptions } from '../../src/api/host';

const BASE = 'http://h/user/x/caterva2/s/lab/';

class FakeHost implements Host {
  readonly requests: { url: string; init: RequestInit }[] = [];
  readonly uploads: { url: string; form: UploadBody; options: UploadOptions }[] = [];
  answer: () => Response | Promise<Response> = () => Response.json({});

  async request(url: string, init: RequestInit = {}): Promise<Response> {
    this.requests.push({ url, init });
    return this.answer();
  }

  socket(): WebSocket {
    throw new Error('not here');
  }

  async upload(url: string, form: UploadBody, options: UploadOptions): Promise<Response> {
    this.uploads.push({ url, form, options });
    return this.answer();
  }

  get url(): string {
    return this.requests[0]?.url ?? '';
  }
}

let host: FakeHost;
let api: Api;

beforeEach(() => {
  host = new FakeHost();
  api = new Api(host, BASE);
});

const failure = async (call: Promise<unknown>): Promise<ApiError> => {
  const reason: unknown = await call.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error
  );
  assert.ok(reason instanceof ApiError);
  return reason;
};

describe('addresses', () => {
  test('parts of a path are encoded, slashes and the mark of areas are not', async () => {
    await api.info('@public/ä b/50%?#.txt');
    assert.equal(host.url, `${BASE}api/info/@public/%C3%A4%20b/50%25%3F%23.txt`);
  });

  test('dots never lead to another address, and half a character is refused with a sentence', async () => {
    for (const path of ['..', 'foo/../../api/me', 'foo/./x', 'foo/\ud800']) {
      const error = await failure(api.info(path));

      assert.equal(error.code, 'bad-path');
    }
    await api.info('foo/...x');
    assert.deepEqual(
      host.requests.map(({ url }) => url),
      [`${BASE}api/info/foo/...x`]
    );
  });

  test('only what is asked for is in the query', async () => {
    await api.tree('foo', { limit: 5, after: null, filter: '' });
    assert.equal(host.url, `${BASE}api/tree/foo?limit=5`);
  });

  test('roots are the page of the empty path', async () => {
    await api.tree('', { filter: 'a&b', recursive: true });
    assert.equal(host.url, `${BASE}api/tree/?filter=a%26b&recursive=1`);
  });
});

describe('windows', () => {
  test('a window has shape and step as numbers', async () => {
    host.answer = () =>
      new Response(new Uint8Array([1, 0, 0, 0]), {
        headers: { 'Caterva2-Dtype': '<i4', 'Caterva2-Shape': '1,1', 'Caterva2-Step': '1, 8', ETag: '"e"' }
      });
    const window = await api.window('foo/x', { slice_: '0,:', points: 100 });

    assert.equal(host.url, `${BASE}api/window/foo/x?slice_=0%2C%3A&points=100&encoding=raw`);
    assert.deepEqual([window.dtype, window.shape, window.step, window.etag], ['<i4', [1, 1], [1, 8], '"e"']);
    assert.equal(window.data.byteLength, 4);
  });

  test('a scalar has no axes', async () => {
    host.answer = () => new Response(new Uint8Array(8), { headers: { 'Caterva2-Shape': '', 'Caterva2-Step': '' } });
    const window = await api.window('foo/x', {});

    assert.deepEqual([window.shape, window.step], [[], []]);
  });
});

describe('failures', () => {
  test('the sentence of the server reaches the reader, with its hint', async () => {
    const body = { detail: 'there is no file "x"', code: 'dataset-not-found', hint: 'list the root', request_id: 'r1' };
    host.answer = () => Response.json(body, { status: 404 });
    const error = await failure(api.info('foo/x'));

    assert.equal(error.sentence, 'There is no file "x". List the root.');
    assert.deepEqual([error.code, error.status, error.requestId], ['dataset-not-found', 404, 'r1']);
    assert.equal(error.isPassing, false);
  });

  test('a list of refused fields becomes one sentence', async () => {
    host.answer = () => Response.json({ detail: [{ loc: ['query', 'limit'], msg: 'too large' }] }, { status: 422 });
    assert.equal((await failure(api.tree('foo'))).message, 'query.limit: too large');
  });

  test('an answer that is no JSON of ours has a sentence all the same', async () => {
    host.answer = () => new Response('<html>', { status: 502, statusText: 'Bad Gateway' });
    const error = await failure(api.tree('foo'));

    assert.equal(error.sentence, 'The subscriber can not be reached.');
    assert.equal(error.isPassing, true);
  });

  test('no answer is told as such', async () => {
    host.answer = () => Promise.reject(new TypeError('failed to fetch'));
    const error = await failure(api.tree('foo'));

    assert.equal(error.code, 'no-answer');
    assert.equal(error.isPassing, true);
  });

  test('a page that is no JSON is a failure, not a crash', async () => {
    host.answer = () => new Response('<html>');
    assert.equal((await failure(api.tree('foo'))).code, 'not-json');
  });

  test('what nobody waits for any more is no failure', async () => {
    const stop = new AbortController();
    host.answer = () => {
      stop.abort();
      throw new DOMException('', 'AbortError');
    };
    await assert.rejects(api.tree('foo', {}, stop.signal), (reason: unknown) => isAborted(reason));
  });

  test('sentences begin with a capital unless they begin with a name', () => {
    assert.equal(asSentence('the root is gone'), 'The root is gone.');
    assert.equal(asSentence('foo/x.b2nd is gone'), 'foo/x.b2nd is gone.');
    assert.equal(asSentence('Done!'), 'Done!');
  });
});

describe('changes', () => {
  test('a file goes into the part that the server reads, and replaces nothing', async () => {
    host.answer = () => Response.json('@public/a.txt');
    const path = await api.put('@public', new File(['abc'], 'a.txt'));

    const [upload] = host.uploads;
    assert.equal(path, '@public/a.txt');
    assert.equal(upload?.url, `${BASE}api/upload/@public/a.txt`);
    assert.equal(upload?.options.headers?.['If-None-Match'], '*');
    const part = upload?.form instanceof FormData ? upload.form.get('file') : null;
    assert.ok(part instanceof File);
    assert.equal(await part.text(), 'abc');
  });

  test('a file replaces another only if that was said', async () => {
    host.answer = () => Response.json('@public/a.txt');
    await api.put('@public', new File(['abc'], 'a.txt'), { overwrite: true });

    assert.deepEqual(host.uploads[0]?.options.headers, {});
  });

  test('a part goes to its place as bare bytes', async () => {
    host.answer = () => Response.json({ id: 'u1', offset: 7 });
    const { offset } = await api.sendPart('u1', 4, new Blob(['abc']));

    const [upload] = host.uploads;
    assert.equal(offset, 7);
    assert.equal(upload?.url, `${BASE}api/uploads/u1`);
    assert.equal(upload?.options.method, 'PATCH');
    assert.deepEqual(upload?.options.headers, { 'Upload-Offset': '4', 'Content-Type': 'application/octet-stream' });
  });

  test('an upload that has arrived replaces nothing unless that was said', async () => {
    host.answer = () => Response.json('@public/a.txt');
    await api.finishUpload('u1');
    await api.finishUpload('u1', { overwrite: true });

    assert.deepEqual(
      host.requests.map(({ init }) => init.headers),
      [{ 'If-None-Match': '*' }, {}]
    );
  });

  test('where nothing is, there is no generation', async () => {
    host.answer = () => Response.json({ detail: 'no' }, { status: 404 });

    assert.equal(await api.generation('@public/x'), null);
  });

  test('a new name is meant exactly', async () => {
    host.answer = () => Response.json('@public/b');
    await api.move('@public/a', '@public/b');

    assert.equal(host.requests[0]?.init.method, 'POST');
    assert.deepEqual(JSON.parse(String(host.requests[0]?.init.body)), {
      src: '@public/a',
      dst: '@public/b',
      exact: true
    });
  });
});
