import SuperJSON from 'superjson'
import { SerializationError } from '../errors.js'
import type { Codec } from './codec.js'

export const serializer = new SuperJSON()
// Not the stack: it tells paths of the machine, and is of no use on another one.
serializer.allowErrorProps('cause', 'code')

/**
 * JSON with notes about types: `undefined`, Error (with name, message, cause and code), Date, BigInt, Map, Set,
 * RegExp, URL, NaN, infinities, -0 and cycles come back as they were. Functions and symbols are refused;
 * instances of classes come back as plain objects.
 */
export const richCodec: Codec = {
  encode(value) {
    refuseFunctions(value, 'value', new Set())
    return serializer.stringify(value)
  },
  decode(text) {
    try {
      return serializer.parse(text)
    } catch {
      // The parser's message quotes the text, which is nobody's business.
      throw new SerializationError('expected a stored outcome, got something else: delete the row, or set it anew')
    }
  },
}

/** Refuses what has no form as text. */
export function refuseFunctions(value: unknown, path: string, seen: Set<object>): void {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new SerializationError(`${path}: expected a value that can be stored, got a ${typeof value}`)
  }
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (value instanceof Map) {
    for (const [key, item] of value) {
      refuseFunctions(key, `${path}.keys()`, seen)
      refuseFunctions(item, `${path}.values()`, seen)
    }
  } else if (value instanceof Set) {
    for (const item of value) refuseFunctions(item, `${path}.values()`, seen)
  } else if (!ArrayBuffer.isView(value)) {
    for (const [key, item] of Object.entries(value)) refuseFunctions(item, `${path}.${key}`, seen)
  }
}
