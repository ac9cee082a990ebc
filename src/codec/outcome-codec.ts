import { SerializationError } from '../errors.js'
import { refuseFunctions, serializer } from './rich-codec.js'

/** How an operation ended, as it is stored. */
export interface Outcome {
  /** What it returned or threw. */
  readonly value: unknown
  /** Whether it threw. */
  readonly isFailure: boolean
  /** What tells requests apart that use the same key. */
  readonly fingerprint: string | undefined
}

interface Stored {
  readonly json: never
  readonly meta?: never
  readonly failed?: true
  readonly fingerprint?: string
}

/** Outcomes in the rich codec's format, so that they read as the value to whoever does not care how it came about. */
export const outcomeCodec = {
  /** @throws {@link SerializationError} when the value would not come back as it is. */
  encode({ value, isFailure, fingerprint }: Outcome): string {
    refuseFunctions(value, 'value', new Set())
    return JSON.stringify({
      ...serializer.serialize(value),
      ...(isFailure && { failed: true }),
      ...(fingerprint !== undefined && { fingerprint }),
    })
  },

  /** @throws {@link SerializationError} when the text is none of an outcome. */
  decode(text: string): Outcome {
    try {
      const { failed, fingerprint, ...serialized } = JSON.parse(text) as Stored
      return { value: serializer.deserialize(serialized), isFailure: failed === true, fingerprint }
    } catch {
      // The parser's message quotes the text, which is nobody's business.
      throw new SerializationError('expected a stored outcome, got something else: delete the row, or set it anew')
    }
  },
}
