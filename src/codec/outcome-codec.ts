import { fromRich, toRich } from './rich-codec.js'

/** How an operation ended, as it is stored. */
export interface Outcome {
  /** What it returned or threw. */
  readonly value: unknown
  /** Whether it threw. */
  readonly isFailure: boolean
  /** What tells requests apart that use the same key. */
  readonly fingerprint: string | undefined
}

/** Outcomes in the rich codec's format, so that they read as the value to whoever does not care how it came about. */
export const outcomeCodec = {
  /** @throws {@link SerializationError} when the value would not come back as it is. */
  encode({ value, isFailure, fingerprint }: Outcome): string {
    return JSON.stringify({
      ...toRich(value),
      ...(isFailure && { failed: true }),
      ...(fingerprint !== undefined && { fingerprint }),
    })
  },

  /** @throws {@link SerializationError} when the text is none of an outcome. */
  decode(text: string): Outcome {
    const { value, notes } = fromRich(text)
    const { failed, fingerprint } = notes
    return { value, isFailure: failed === true, fingerprint: typeof fingerprint === 'string' ? fingerprint : undefined }
  },
}
