import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { decode, decodeColumn, isNumeric, parseDType, toReals } from '../../src/viewer/dtype';

function bytesOf(...parts: readonly ArrayBufferView[]): ArrayBuffer {
  const all = parts.map(part => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  const out = new Uint8Array(all.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of all) {
    out.set(part, at);
    at += part.length;
  }
  return out.buffer;
}

describe('dtypes are read', () => {
  const cases: readonly (readonly [string, string, number, string])[] = [
    ['<f4', 'float', 4, 'float32'],
    ['|b1', 'bool', 1, 'bool'],
    ['?', 'bool', 1, 'bool'],
    ['|u1', 'uint', 1, 'uint8'],
    ['<i8', 'int', 8, 'int64'],
    ['<c16', 'complex', 16, 'complex128'],
    ['<U6', 'text', 24, 'text(6)'],
    ['|S3', 'bytes', 3, 'bytes(3)'],
    ['<M8[ns]', 'date', 8, 'datetime64[ns]'],
    ['float32', 'float', 4, 'float32'],
    ['bool', 'bool', 1, 'bool'],
    ['datetime64[s]', 'date', 8, 'datetime64[s]'],
    ['object', 'other', 0, 'object']
  ];
  for (const [text, kind, size, label] of cases) {
    test(text, () => {
      const dtype = parseDType(text);

      assert.deepEqual([dtype.kind, dtype.size, dtype.label], [kind, size, label]);
    });
  }

  test('records as JSON and as NumPy writes them are the same', () => {
    const json = parseDType('[["a","<f4"],["b","<f8"],["c","<i2",[3]]]');
    const python = parseDType("[('a', '<f4'), ('b', '<f8'), ('c', '<i2', (3,))]");

    assert.deepEqual(json, python);
    assert.deepEqual(
      json.fields.map(field => [field.name, field.offset]),
      [
        ['a', 0],
        ['b', 4],
        ['c', 12]
      ]
    );
    assert.equal(json.size, 18);
  });
});

describe('records that NumPy writes in other ways', () => {
  const fieldsOf = (text: string) =>
    parseDType(text).fields.map(({ name, offset, dtype }) => [name, offset, dtype.label]);

  test('a field that is a record is one field', () => {
    assert.deepEqual(fieldsOf("[('a', '<i4'), ('b', [('c', '<f4'), ('d', 'S3')]), ('e', 'u1')]"), [
      ['a', 0, 'int32'],
      ['b', 4, '2 fields'],
      ['e', 11, 'uint8']
    ]);
  });

  test('fields with gaps between them have the places that are given', () => {
    const text = "{'names': ['a', 'b'], 'formats': ['u1', '<f8'], 'offsets': [0, 8], 'itemsize': 16, 'aligned': True}";

    assert.deepEqual(fieldsOf(text), [
      ['a', 0, 'uint8'],
      ['b', 8, 'float64']
    ]);
    assert.equal(parseDType(text).size, 16);
  });

  test('titles are no names, and names may hold quotes', () => {
    assert.deepEqual(fieldsOf(`[(('title', 'x'), '<i4'), ("it's", 'u1'), ('b"\\'c', 'u1'), ('z\\\\', 'u1')]`), [
      ['x', 0, 'int32'],
      ["it's", 4, 'uint8'],
      [`b"'c`, 5, 'uint8'],
      ['z\\', 6, 'uint8']
    ]);
  });

  test('what is no literal has no fields', () => {
    assert.deepEqual(fieldsOf('[(oops, 1'), []);
  });
});

test('floats of more bytes than a double are not drawn', () => {
  assert.deepEqual(
    ['float64', 'float128', 'complex128', 'complex256', 'bool', 'int64'].map(name => isNumeric(parseDType(name))),
    [true, false, true, false, true, true]
  );
});

describe('raw bytes are decoded', () => {
  test('64-bit integers stay exact and are drawn as the nearest double', () => {
    const dtype = parseDType('<i8');
    const numbers = decode(bytesOf(new BigInt64Array([2n ** 53n + 1n, -5n])), dtype);

    assert.equal(numbers[0], 9007199254740993n);
    assert.deepEqual([...toReals(numbers, dtype, 'abs')], [9007199254740992, -5]);
  });

  test('float16 becomes float32, with its odd values', () => {
    const numbers = decode(bytesOf(new Uint16Array([0x3c00, 0xc000, 0x7c00, 0x0001])), parseDType('<f2'));

    assert.deepEqual([...numbers], [1, -2, Infinity, 2 ** -24]);
  });

  test('complex numbers give magnitude, phase, real and imaginary part', () => {
    const dtype = parseDType('<c8');
    const numbers = decode(bytesOf(new Float32Array([3, 4, 0, -2])), dtype);

    assert.deepEqual([...toReals(numbers, dtype, 'abs')], [5, 2]);
    assert.deepEqual([...toReals(numbers, dtype, 'real')], [3, 0]);
    assert.deepEqual([...toReals(numbers, dtype, 'imag')], [4, -2]);
    assert.equal(toReals(numbers, dtype, 'phase')[1], Math.fround(-Math.PI / 2));
  });

  test('a column is cut out of records', () => {
    const dtype = parseDType('[["a","|u1"],["b","<f4"]]');
    const bytes = bytesOf(
      new Uint8Array([1]),
      new Float32Array([0.5]),
      new Uint8Array([2]),
      new Float32Array([1.5])
    );

    assert.deepEqual([...decodeColumn(bytes, dtype, 'b')], [0.5, 1.5]);
    assert.throws(() => decodeColumn(bytes, dtype, 'c'), /no column "c"/);
  });

  test('texts are refused', () => {
    assert.throws(() => decode(new ArrayBuffer(24), parseDType('<U6')), /text\(6\) are no numbers/);
  });
});
