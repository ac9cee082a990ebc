import { hostname } from 'node:os'
import type { CircuitBreakerPersistedState, CircuitBreakerStateProvider } from '../contracts.js'
import type { Operations } from '../database/operations.js'
import { InvalidArgumentError } from '../errors.js'
import { KeySpace } from '../keys.js'
import { assertCount } from '../options.js'
import type { CircuitRepository } from '../repositories/circuit-repository.js'

// The last millisecond of the year 9999, the end of DATETIME.
const LATEST_TIME = 253_402_300_799_999

// What a failure's reason may take of the row.
const LONGEST_REASON = 200

/** Circuit-breaker state over the rows of `go_goscope_circuit`. */
export class Circuits implements CircuitBreakerStateProvider {
  readonly #repository: CircuitRepository
  readonly #operations: Operations
  readonly #keys: KeySpace
  readonly #instance: string = `${hostname()}:${process.pid}`

  constructor(repository: CircuitRepository, operations: Operations, keyPrefix: string) {
    this.#repository = repository
    this.#operations = operations
    this.#keys = new KeySpace(keyPrefix, 'circuit')
  }

  /**
   * The stored state, or `null` when nothing was ever recorded under this key. Times are to the millisecond.
   *
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async getState(key: string): Promise<CircuitBreakerPersistedState | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#operations.run('getState', () => this.#repository.find(storedKey))
    if (row === undefined) return null
    return {
      state: row.state,
      failureCount: row.failureCount,
      ...(row.lastFailureTime !== null && { lastFailureTime: row.lastFailureTime }),
      ...(row.lastSuccessTime !== null && { lastSuccessTime: row.lastSuccessTime }),
    }
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
    const shown = reason === undefined ? null : String(reason).slice(0, LONGEST_REASON).toWellFormed()
    return this.#operations.run(
      'recordFailure',
      () => this.#repository.addFailure(storedKey, maxFailures, this.#instance, shown),
      { repeatable: false },
    )
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
