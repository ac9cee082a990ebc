import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { SerializationError } from '../errors.js'
import type { Codec } from './codec.js'

// No JSON text begins like this.
const MARK = 'deflate:'

/**
 * A codec that compresses texts of more than `above` characters: raw DEFLATE (RFC 1951) in Base64.
 * Reads both compressed and plain texts, so the size can be changed at any time.
 */
export function compressed(codec: Codec, above: number): Codec {
  return {
    encode(value) {
      const text = codec.encode(value)
      if (typeof text !== 'string') throw new SerializationError(`expected text from the codec, got ${typeof text}`)
      return text.length > above ? MARK + deflateRawSync(text).toString('base64') : text
    },
    decode(text) {
      return codec.decode(text.startsWith(MARK) ? inflate(text.slice(MARK.length)) : text)
    },
  }
}

function inflate(packed: string): string {
  try {
    return inflateRawSync(Buffer.from(packed, 'base64')).toString()
  } catch (cause) {
    throw new SerializationError('expected a compressed value, got something else: delete the row, or set it anew', {
      cause,
    })
  }
}
