import type { Transaction } from '../../database/transaction.js'
import type { Tenure } from '../../repositories/lock-repository.js'
import type { Lock } from './lock-handle.js'
import { keepAlive } from './lock-renewal.js'

/** How a lease is kept. */
export interface LeaseOptions {
  /**
   * Milliseconds after which the lock expires unless it is renewed.
   *
   * @default the adapter's `defaultLockTTL`
   */
  ttl?: number
  /**
   * Milliseconds to wait while somebody else holds the lock.
   *
   * @default 10000
   */
  wait?: number
  /**
   * Whether to renew the lock, at a third of its ttl, for as long as the lease lasts.
   *
   * @default true
   */
  renew?: boolean
  /** Who takes it; a random owner by default. */
  owner?: string
  /** Ends the waiting. Once the lock is held, the caller decides. */
  signal?: AbortSignal
}

/**
 * A lock that is kept alive while somebody works under it.
 * `signal` aborts as soon as this process can no longer count on the lock, and never later than it expires.
 */
export class Lease {
  readonly #lock: Lock
  readonly #ending = new AbortController()

  /** Aborts with a {@link LockLostError} when the lock is lost. Does not abort when the lease is released. */
  readonly signal: AbortSignal

  /** @internal */
  constructor(lock: Lock, ttl: number, renews: boolean) {
    this.#lock = lock
    this.signal = keepAlive(lock, ttl, renews, this.#ending.signal)
  }

  /** What is locked. */
  get key(): string {
    return this.#lock.key
  }

  /** Who holds it. */
  get owner(): string {
    return this.#lock.owner
  }

  /** The fencing token: larger than that of every earlier tenure. Give it to the resource that the lock protects. */
  get fence(): number {
    return this.#lock.fence
  }

  /** @internal */
  get tenure(): Tenure {
    return this.#lock.tenure
  }

  /** Milliseconds this process may still count on the lock without another renewal; 0 when it is lost. */
  get remaining(): number {
    return this.signal.aborted ? 0 : this.#lock.remaining
  }

  /** Asks the database whether the lock is still held. */
  isValid(): Promise<boolean> {
    return this.#lock.isValid()
  }

  /** See {@link Lock.assertHeld}. */
  assertHeld(transaction: Transaction): Promise<void> {
    return this.#lock.assertHeld(transaction)
  }

  /** Ends the renewal and frees the lock. Harmless when it is lost, or when repeated. */
  async release(): Promise<void> {
    this.#ending.abort()
    await this.#lock.release()
  }

  /** Releases the lease at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
