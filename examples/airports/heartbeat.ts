import type { LockHandle } from 'goscope-mysql'

/** Keeps a lock alive while its holder works. */
export class Heartbeat implements Disposable {
  readonly #timer: NodeJS.Timeout
  readonly #lost = new AbortController()

  /** Prolongs the lock by `ttl` three times as often as it would expire. */
  constructor(lock: LockHandle, ttl: number) {
    this.#timer = setInterval(async () => {
      // When the database does not answer, the next beat may reach it; if none does, the lock expires.
      const isHeld = await lock.extend(ttl).catch(() => lock.remaining > 0)
      if (!isHeld) this.#lost.abort(new Error(`${lock.key} was lost`))
    }, ttl / 3)
  }

  /** Aborts when the lock is known to be lost. Until then it may be lost all the same: only tokens are certain. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
