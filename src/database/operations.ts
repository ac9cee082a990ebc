import { NotConnectedError } from '../errors.js'
import type { RetryOptions } from '../options.js'
import { withRetry } from './retry.js'

/** How an operation may be repeated after a failure. */
export interface Repetition {
  /**
   * Whether the operation may run twice when a broken connection hid its outcome.
   *
   * @default true
   */
  readonly repeatable?: boolean
  /**
   * Overrides the budget for contention.
   *
   * @default the adapter's option `retry.contention`
   */
  readonly contention?: number | undefined
  /**
   * Whether it keeps or ends what an operation still running has begun, and is therefore let through by a closing adapter.
   *
   * @default false
   */
  readonly isFollowUp?: boolean
}

/** Runs the public operations of one adapter: retries them, and lets `disconnect()` await and refuse them. */
export class Operations {
  readonly #budgets: RetryOptions
  #closed = false
  #running = 0
  #idle: (() => void) | undefined

  constructor(budgets: RetryOptions) {
    this.#budgets = budgets
  }

  /**
   * @throws {@link NotConnectedError} after {@link close}, otherwise what the work's failure means.
   */
  async run<T>(
    operation: string,
    work: () => Promise<T>,
    { repeatable = true, contention = this.#budgets.contention, isFollowUp = false }: Repetition = {},
  ): Promise<T> {
    const repeating = () => withRetry(operation, repeatable, { ...this.#budgets, contention }, work)
    return this.once(operation, repeating, isFollowUp)
  }

  /** Like {@link run}, but repeats nothing, and throws whatever `work` throws. */
  async once<T>(operation: string, work: () => Promise<T>, isFollowUp = false): Promise<T> {
    if (!(isFollowUp && this.#running > 0)) this.assertOpen(operation)
    this.#running++
    try {
      return await work()
    } finally {
      if (--this.#running === 0) this.#idle?.()
    }
  }

  /** @throws {@link NotConnectedError} after {@link close}. */
  assertOpen(operation: string): void {
    if (this.#closed) throw new NotConnectedError('the adapter was disconnected: create a new one', { operation })
  }

  /** Refuses further operations and resolves when the running ones have ended. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#running === 0) return
    await new Promise<void>((resolve) => {
      const earlier = this.#idle
      this.#idle = () => {
        earlier?.()
        resolve()
      }
    })
  }
}
