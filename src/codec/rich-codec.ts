import SuperJSON, { type SuperJSONResult } from 'superjson'
import { SerializationError } from '../errors.js'
import type { Codec } from './codec.js'
import { assertLossless } from './json-codec.js'

const serializer = new SuperJSON()
// Not the stack: it tells paths of the machine, and is of no use on another one.
serializer.allowErrorProps('cause', 'code')
// The serializer writes a Buffer as a typed array that it cannot read back.
serializer.registerCustom<Buffer, string>(
  {
    isApplicable: (value): value is Buffer => Buffer.isBuffer(value),
    serialize: (buffer) => buffer.toString('base64'),
    deserialize: (text) => Buffer.from(text, 'base64'),
  },
  'Buffer',
)

/**
 * JSON with notes about types: `undefined`, Error (with name, message, cause and code), Date, BigInt, Map, Set,
 * RegExp, URL, Buffer, typed arrays of numbers, NaN, infinities, -0 and cycles come back as they were.
 * Functions and symbols are refused. Instances of other classes come back as plain objects, and may hold
 * what JSON can.
 */
export const richCodec: Codec = {
  encode: (value) => JSON.stringify(toRich(value)),
  decode: (text) => fromRich(text).value,
}

/**
 * The value as JSON with notes about types.
 *
 * @throws {@link SerializationError} when it would not come back as it is.
 */
export function toRich(value: unknown): SuperJSONResult {
  try {
    assertStorable(value, 'value', new Set())
    return serializer.serialize(value)
  } catch (cause) {
    if (cause instanceof SerializationError) throw cause
    throw new SerializationError('expected a value that can be stored, got too deep a nesting or a forbidden name', {
      cause,
    })
  }
}

/**
 * The reverse of {@link toRich}, from text; along with the value whatever else the document holds.
 *
 * @throws {@link SerializationError}
 */
export function fromRich(text: string): { readonly value: unknown; readonly notes: Readonly<Record<string, unknown>> } {
  try {
    const { json, meta, ...notes } = JSON.parse(text) as SuperJSONResult & Record<string, unknown>
    return { value: serializer.deserialize(meta === undefined ? { json } : { json, meta }), notes }
  } catch {
    // The parser's message quotes the text, which is nobody's business.
    throw new SerializationError('expected a stored outcome, got something else: delete the row, or set it anew')
  }
}

// Names that the serializer takes for an attack on prototypes.
const forbiddenNames = new Set(['__proto__', 'constructor', 'prototype'])

const knownArrays = new Set(
  [
    Buffer,
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
  ].map((type) => type.name),
)

function assertStorable(value: unknown, path: string, seen: Set<object>): void {
  if (typeof value === 'function' || typeof value === 'symbol') throw refusal(path, `a ${typeof value}`)
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (value instanceof Map) {
    for (const [key, item] of value) {
      assertStorable(key, `${path}.keys()`, seen)
      assertStorable(item, `${path}.values()`, seen)
    }
  } else if (value instanceof Set) {
    for (const item of value) assertStorable(item, `${path}.values()`, seen)
  } else if (value instanceof Error) {
    assertStorable(value.cause, `${path}.cause`, seen)
    assertStorable((value as { code?: unknown }).code, `${path}.code`, seen)
  } else if (Array.isArray(value) || isPlain(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (forbiddenNames.has(key)) throw refusal(path, `a property named ${key}`)
      assertStorable(item, `${path}.${key}`, seen)
    }
  } else if (!isKnown(value)) {
    // The serializer leaves the rest to JSON.
    assertLossless(value, path)
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

function isKnown(value: object): boolean {
  if (ArrayBuffer.isView(value)) return knownArrays.has(value.constructor.name)
  return value instanceof RegExp || value instanceof URL || (value instanceof Date && !Number.isNaN(value.valueOf()))
}

function refusal(path: string, got: string): SerializationError {
  return new SerializationError(`${path}: expected a value that can be stored, got ${got}`)
}
