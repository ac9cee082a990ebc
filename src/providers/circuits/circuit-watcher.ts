import type { CircuitBreakerPersistedState, CircuitState } from '../../contracts.js'
import type { Operations } from '../../database/operations.js'
import type { CircuitRepository, CircuitRow } from '../../repositories/circuit-repository.js'
import { BackgroundWarning, warn } from './warning.js'

/** Told of a circuit's state. */
export type CircuitCallback = (state: CircuitBreakerPersistedState) => void

/** A subscription to one circuit. A circuit is taken for closed until the first look. */
interface Subscription {
  readonly storedKey: string
  readonly callback: CircuitCallback
  lastState: CircuitState
}

const KEYS_PER_STATEMENT = 1_000

/**
 * Tells subscribers of changes, whichever process made them. One poll, jittered so that processes spread out, looks at
 * all circuits that anybody here watches; it keeps no process alive, and ends with the last subscription.
 */
export class CircuitWatcher {
  readonly #repository: CircuitRepository
  readonly #operations: Operations
  readonly #interval: number
  readonly #subscriptions = new Set<Subscription>()
  readonly #warning = new BackgroundWarning()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #looksAgain = false

  /** @param interval - Milliseconds between two looks. */
  constructor(repository: CircuitRepository, operations: Operations, interval: number) {
    this.#repository = repository
    this.#operations = operations
    this.#interval = interval
  }

  /** @returns a function that ends the subscription; harmless when repeated. */
  subscribe(storedKey: string, callback: CircuitCallback): () => void {
    const subscription: Subscription = { storedKey, callback, lastState: 'closed' }
    this.#subscriptions.add(subscription)
    this.#lookNow()
    return () => {
      this.#subscriptions.delete(subscription)
      if (this.#subscriptions.size === 0) clearTimeout(this.#timer)
    }
  }

  /** Looks at once if anybody watches this circuit: it was changed from here. */
  changed(storedKey: string): void {
    for (const subscription of this.#subscriptions) {
      if (subscription.storedKey !== storedKey) continue
      this.#lookNow()
      return
    }
  }

  /** Ends all subscriptions. */
  close(): void {
    this.#subscriptions.clear()
    clearTimeout(this.#timer)
  }

  // One look at a time, so that an older answer cannot come after a newer one.
  #lookNow(): void {
    if (this.#looking !== undefined) {
      this.#looksAgain = true
      return
    }
    clearTimeout(this.#timer)
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined
      if (this.#subscriptions.size === 0) return
      if (this.#looksAgain) {
        this.#looksAgain = false
        this.#lookNow()
      } else {
        const jittered = this.#interval * (0.8 + Math.random() / 5)
        this.#timer = setTimeout(() => this.#lookNow(), jittered).unref()
      }
    })
  }

  async #look(): Promise<void> {
    const watched = [...this.#subscriptions]
    const keys = [...new Set(watched.map(({ storedKey }) => storedKey))]
    const rows = new Map<string, CircuitRow>()
    try {
      for (let from = 0; from < keys.length; from += KEYS_PER_STATEMENT) {
        const some = keys.slice(from, from + KEYS_PER_STATEMENT)
        const found = await this.#operations.run('subscribe', () => this.#repository.findMany(some))
        for (const row of found) rows.set(row.key, row)
      }
    } catch (error) {
      // The next look tells what was missed.
      return this.#warning.of(error)
    }
    for (const subscription of watched) this.#tell(subscription, rows.get(subscription.storedKey))
  }

  #tell(subscription: Subscription, row: CircuitRow | undefined): void {
    const state = persistedState(row)
    if (state.state === subscription.lastState || !this.#subscriptions.has(subscription)) return
    subscription.lastState = state.state
    try {
      subscription.callback(state)
    } catch (error) {
      warn(error)
    }
  }
}

/** A row as go-go-scope knows it: absent times are absent. No row stands for a closed circuit. */
export function persistedState(row: CircuitRow | undefined): CircuitBreakerPersistedState {
  if (row === undefined) return { state: 'closed', failureCount: 0 }
  return {
    state: row.state,
    failureCount: row.failureCount,
    ...(row.lastFailureTime !== null && { lastFailureTime: row.lastFailureTime }),
    ...(row.lastSuccessTime !== null && { lastSuccessTime: row.lastSuccessTime }),
  }
}
