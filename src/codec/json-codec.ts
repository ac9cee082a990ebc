import { SerializationError } from '../errors.js'
import type { Codec } from './codec.js'

/**
 * Plain JSON. Refuses what JSON would drop or change in silence: `undefined` (but for properties, which read as
 * `undefined` all the same), functions, symbols, BigInt, NaN, infinities, invalid Dates, Map, Set and other objects
 * without a JSON form, and cycles. A Date becomes its ISO string, as its `toJSON` says; -0 becomes 0.
 */
export const jsonCodec: Codec = {
  encode(value) {
    let text: string | undefined
    try {
      text = JSON.stringify(value)
      assertLossless(value, 'value')
    } catch (cause) {
      if (cause instanceof SerializationError) throw cause
      throw new SerializationError('expected a value that JSON can hold, got a cycle, a BigInt or too deep a nesting', {
        cause,
      })
    }
    // Only what assertLossless refuses has no text.
    return text as string
  },
  decode(text) {
    try {
      return JSON.parse(text)
    } catch {
      // The parser's message quotes the text, which is nobody's business.
      throw new SerializationError('expected stored JSON, got something else: delete the row, or set it anew')
    }
  },
}

/**
 * Refuses what JSON would drop or change in silence. Does not end on a cycle.
 *
 * @param path - Where the value is, for the error's message.
 * @throws {@link SerializationError}
 */
export function assertLossless(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null || !('toJSON' in value) || typeof value.toJSON !== 'function') {
    assertPlain(value, path)
    return
  }
  const form: unknown = value.toJSON('')
  if (value instanceof Date && form === null) throw refusal(path, 'Invalid Date')
  // JSON.stringify does not ask the form for its toJSON again.
  assertPlain(form, path)
}

function assertPlain(value: unknown, path: string): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (Number.isFinite(value)) return
      throw refusal(path, String(value))
    case 'object':
      if (value !== null) assertPlainObject(value, path)
      return
    default:
      throw refusal(path, typeof value)
  }
}

function assertPlainObject(value: object, path: string): void {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) assertLossless(value[index], `${path}[${index}]`)
    return
  }
  if (Object.prototype.toString.call(value) !== '[object Object]') {
    throw refusal(path, value.constructor?.name ?? 'an exotic object')
  }
  for (const key of Object.keys(value)) {
    const property = (value as Record<string, unknown>)[key]
    if (property !== undefined) assertLossless(property, `${path}.${key}`)
  }
}

function refusal(path: string, got: string): SerializationError {
  return new SerializationError(`${path}: expected a value that JSON can hold, got ${got}`)
}
