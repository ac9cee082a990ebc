interface Remembered {
  readonly error: unknown
  /** On the clock of `performance.now()`, which nobody sets and which no timer's range limits. */
  readonly until: number
}

/** Errors by key, each for a time. Beyond a number of them the oldest are forgotten, so that they take little memory. */
export class RememberedErrors {
  readonly #errors = new Map<string, Remembered>()
  readonly #maximum: number

  constructor(maximum = 1_000) {
    this.#maximum = maximum
  }

  /** @param duration - Milliseconds. */
  remember(key: string, error: unknown, duration: number): void {
    const now = performance.now()
    for (const [other, { until }] of this.#errors) if (until <= now) this.#errors.delete(other)
    this.#errors.delete(key)
    for (const oldest of this.#errors.keys()) {
      if (this.#errors.size < this.#maximum) break
      this.#errors.delete(oldest)
    }
    this.#errors.set(key, { error, until: now + duration })
  }

  /** @throws the key's error, if it is remembered. */
  throwIfAny(key: string): void {
    const remembered = this.#find(key)
    if (remembered !== undefined) throw remembered.error
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined
  }

  forget(key: string): void {
    this.#errors.delete(key)
  }

  #find(key: string): Remembered | undefined {
    const remembered = this.#errors.get(key)
    if (remembered === undefined || remembered.until > performance.now()) return remembered
    this.#errors.delete(key)
    return undefined
  }
}
