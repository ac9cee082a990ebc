import { hostname } from 'node:os'
import type { CircuitBreakerPersistedState, CircuitBreakerStateProvider } from '../../contracts.js'
import type { Operations } from '../../database/operations.js'
import { InvalidArgumentError } from '../../errors.js'
import { assertStorable, KeySpace, MAXIMUM_KEY_LENGTH, rangeOf } from '../../keys.js'
import { assertCount } from '../../options.js'
import type { BreakerRepository } from '../../repositories/breaker-repository.js'
import type { CircuitRepository, ListedCircuitRow } from '../../repositories/circuit-repository.js'
import type { Locks } from '../locks/lock-provider.js'
import { readPages } from '../paging.js'
import { CircuitBreaker, describe } from './circuit-breaker.js'
import type { CircuitBreakerOptions } from './circuit-options.js'
import { CircuitRegistry } from './circuit-registry.js'
import { type CircuitCallback, CircuitWatcher, persistedState } from './circuit-watcher.js'

// The last millisecond of the year 9999, the end of DATETIME.
const LATEST_TIME = 253_402_300_799_999

/** What circuits work with. */
export interface CircuitsContext {
  readonly repository: CircuitRepository
  readonly breakers: BreakerRepository
  readonly operations: Operations
  /** The locks that permit probes, apart from the user's own. */
  readonly permits: Locks
  /** Milliseconds between two looks at circuits that somebody subscribed to. */
  readonly pollInterval: number
}

/** A stored circuit, for people who look. Times are milliseconds since 1970 by the database's clock. */
export interface CircuitDetails extends CircuitBreakerPersistedState {
  readonly key: string
  /** When the present outage began; absent while closed. */
  readonly openedAt?: number
  /** How often recovering has failed during the present outage. */
  readonly attempt: number
  /** Whether it is held open by hand. */
  readonly isIsolated: boolean
  /** The latest failures, newest first, ten at most. */
  readonly failures: readonly CircuitFailure[]
}

/** A failure of a service. */
export interface CircuitFailure {
  /** When it was counted: an ISO 8601 text, by the database's clock. */
  readonly time: string
  /** The process that saw it: host name and process id. */
  readonly instance: string
  readonly reason: string | null
}

// Names this process among all that share the database. Letters that mean something in a JSON path would break it.
const instance = `${hostname().replace(/[^\w.-]/g, '_')}:${process.pid}`

/** Circuit breakers over the rows of `go_goscope_circuit`. */
export class Circuits implements CircuitBreakerStateProvider {
  readonly #repository: CircuitRepository
  readonly #operations: Operations
  readonly #keys: KeySpace
  readonly #watcher: CircuitWatcher
  readonly #registry: CircuitRegistry

  /** @internal */
  constructor({ repository, breakers, operations, permits, pollInterval }: CircuitsContext, keyPrefix: string) {
    this.#repository = repository
    this.#operations = operations
    this.#keys = new KeySpace(keyPrefix, 'circuit')
    this.#watcher = new CircuitWatcher(repository, operations, pollInterval)
    const onChange = (storedKey: string) => this.#watcher.changed(storedKey)
    const context = { repository: breakers, operations, permits, instance, onChange }
    this.#registry = new CircuitRegistry(context, this.#keys)
  }

  /**
   * The breaker of this key. All processes that use the same key share its state; within this process all breakers of a
   * key share their counts as well, so it may be asked for anew before each call.
   *
   * @throws {@link InvalidArgumentError} also when the key is in use here with other options.
   * @example
   * ```ts
   * const breaker = state.circuits.breaker('payment-gateway', { failureThreshold: 5, resetTimeout: 30_000 })
   * const receipt = await breaker.execute(({ signal }) => fetch(gateway, { signal }))
   * ```
   */
  breaker(key: string, options: CircuitBreakerOptions = {}): CircuitBreaker {
    const circuit = this.#registry.get(key, options)
    return new CircuitBreaker(() => this.#registry.current(circuit), options)
  }

  /**
   * Calls back when the circuit changes between closed, open and half-open, whichever process changed it: at once for
   * changes from here, else with the next look. Changes in quick succession may be told as one. A circuit is taken
   * for closed at first, so one that is open already is told soon after subscribing. Keeps no process alive.
   *
   * @returns A function that ends the subscription; harmless when repeated. `disconnect()` ends it too.
   * @throws {@link InvalidArgumentError}
   */
  subscribe(key: string, callback: CircuitCallback): () => void {
    const storedKey = this.#keys.toStored(key)
    if (typeof callback !== 'function') {
      throw new InvalidArgumentError(`callback: expected a function, got ${typeof callback}`)
    }
    this.#operations.assertOpen('subscribe')
    return this.#watcher.subscribe(storedKey, callback)
  }

  /**
   * All circuits of which anything was recorded, by ascending key.
   *
   * @param options - `prefix`: only keys that begin with it.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async list({ prefix = '' }: { prefix?: string } = {}): Promise<CircuitDetails[]> {
    assertStorable('options.prefix', prefix, MAXIMUM_KEY_LENGTH)
    const range = rangeOf(this.#keys.start + prefix)
    const found: CircuitDetails[] = []
    const rows = readPages(this.#operations, 'list', (from?: string) => this.#repository.list(range, from))
    for await (const row of rows) found.push(detailsOf(row, this.#keys.fromStored(row.key)))
    // The range of a prefix that ends in a space may hold a key without it.
    return found.filter(({ key }) => key.startsWith(prefix))
  }

  /**
   * The stored state, or `null` when nothing was ever recorded under this key. Times are to the millisecond.
   *
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async getState(key: string): Promise<CircuitBreakerPersistedState | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#operations.run('getState', () => this.#repository.find(storedKey))
    return row === undefined ? null : persistedState(row)
  }

  /**
   * Replaces the stored state. A change from closed begins an outage, a change to closed ends it.
   *
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async setState(key: string, state: CircuitBreakerPersistedState): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    if (typeof state !== 'object' || state === null) {
      throw new InvalidArgumentError(`state: expected an object, got ${state === null ? 'null' : typeof state}`)
    }
    if (!['closed', 'open', 'half-open'].includes(state.state)) {
      throw new InvalidArgumentError('state: expected closed, open or half-open')
    }
    assertCount('failureCount', state.failureCount)
    const row = {
      state: state.state,
      failureCount: state.failureCount,
      lastFailureTime: timeOrNull('lastFailureTime', state.lastFailureTime),
      lastSuccessTime: timeOrNull('lastSuccessTime', state.lastSuccessTime),
    }
    await this.#operations.run('setState', () => this.#repository.replace(storedKey, row))
    this.#changed(storedKey)
  }

  /**
   * Counts one failure. The `maxFailures`-th opens a closed circuit, the first one a half-open circuit;
   * an open circuit counts on, and its outage is not prolonged.
   * One atomic statement: concurrent callers get distinct counts, and one of them sees the threshold.
   *
   * @param maxFailures - A whole number, 1 or more.
   * @param reason - What failed, shown with the time and this process among the latest failures in `details`.
   *   Cut to 200 characters.
   * @returns The number of failures counted so far, this one included.
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError} Only when the
   *   connection broke under the statement may the failure have been counted all the same.
   */
  async recordFailure(key: string, maxFailures: number, reason?: string): Promise<number> {
    const storedKey = this.#keys.toStored(key)
    assertCount('maxFailures', maxFailures)
    if (maxFailures === 0) throw new InvalidArgumentError('maxFailures: expected 1 or more, got 0')
    const shown = reason === undefined ? null : describe(reason)
    const count = await this.#operations.run(
      'recordFailure',
      () => this.#repository.addFailure(storedKey, maxFailures, instance, shown),
      { repeatable: false },
    )
    this.#changed(storedKey)
    return count
  }

  /**
   * Sets the failure count back to 0, and closes a half-open circuit. Writes nothing while the circuit is closed
   * and clean; leaves an open circuit alone, since the success is that of a call made before it opened.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async recordSuccess(key: string): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    await this.#operations.run('recordSuccess', () => this.#repository.addSuccess(storedKey))
    this.#changed(storedKey)
  }

  /** @internal Reports what breakers have counted, and ends the subscriptions. */
  async close(): Promise<void> {
    this.#watcher.close()
    await this.#registry.close()
  }

  #changed(storedKey: string): void {
    this.#watcher.changed(storedKey)
    this.#registry.changed(storedKey)
  }
}

function detailsOf(row: ListedCircuitRow, key: string): CircuitDetails {
  return {
    ...persistedState(row),
    key,
    ...(row.openedAt !== null && { openedAt: row.openedAt }),
    attempt: row.attempt,
    isIsolated: row.isolatedAt !== null,
    failures: failuresOf(row.details),
  }
}

// Anybody can write to the table.
function failuresOf(details: string | null): CircuitFailure[] {
  try {
    const parsed: unknown = JSON.parse(details ?? '[]')
    return Array.isArray(parsed) ? parsed : []
  } catch {
    return []
  }
}

function timeOrNull(name: string, time: number | undefined): number | null {
  if (time === undefined) return null
  assertCount(name, time)
  if (time > LATEST_TIME) {
    throw new InvalidArgumentError(`${name}: expected milliseconds since 1970, at most ${LATEST_TIME}, got ${time}`)
  }
  return time
}
