/** Turns values into JSON text and back. */
export interface Codec {
  /** @throws {@link SerializationError} when the value would not come back as it is. */
  encode(value: unknown): string
  /** @throws {@link SerializationError} when the text is not of this codec. */
  decode(text: string): unknown
}
