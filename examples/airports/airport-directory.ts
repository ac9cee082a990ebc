import { setTimeout as sleep } from 'node:timers/promises'
import { type CircuitBreaker, CircuitOpenError, type MySQLAdapter } from 'goscope-mysql'
import type { Location } from './geography.js'

/** The circuit of the enrichment service. */
export const CIRCUIT = 'airport-service'

/** Short, so that the service is asked all through the import. */
const TIME_TO_LIVE = 8_000
const LONGEST_CALL = 300
const PAUSE = 100

/** Where airports lie: from the cache that all workers share, or from the service behind the breaker. */
export class AirportDirectory {
  hits = 0
  misses = 0
  readonly #state: MySQLAdapter
  readonly #service: string
  readonly #breaker: CircuitBreaker

  constructor(state: MySQLAdapter, service: string) {
    this.#state = state
    this.#service = service
    this.#breaker = state.circuits.breaker(CIRCUIT, {
      failureThreshold: 5,
      resetTimeout: 300,
      timeout: LONGEST_CALL,
      // A prober may be killed.
      probeTtl: 1_000,
      refreshInterval: PAUSE,
    })
  }

  /** Waits until the service has recovered, unless the signal says that nobody needs the answer any more. */
  async find(iata: string, signal: AbortSignal): Promise<Location> {
    const key = `airport:${iata}`
    const cached = await this.#state.get<Location>(key)
    if (cached !== null) {
      this.hits++
      return cached
    }
    this.misses++
    const location = await this.#askUntilAnswered(iata, signal)
    await this.#state.set(key, location, TIME_TO_LIVE)
    return location
  }

  async #askUntilAnswered(iata: string, signal: AbortSignal): Promise<Location> {
    for (;;) {
      try {
        return await this.#breaker.execute((call) => this.#ask(iata, call.signal))
      } catch (error) {
        await sleep(error instanceof CircuitOpenError ? Math.min(error.retryAfter, PAUSE) : PAUSE)
        signal.throwIfAborted()
      }
    }
  }

  async #ask(iata: string, signal: AbortSignal): Promise<Location> {
    const response = await fetch(`${this.#service}/airports/${iata}`, { signal })
    if (!response.ok) throw new Error(`no answer about ${iata}: status ${response.status}`)
    return (await response.json()) as Location
  }
}
