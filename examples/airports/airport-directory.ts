import { setTimeout as sleep } from 'node:timers/promises'
import type { MySQLAdapter } from 'goscope-mysql'
import { CircuitOpen, throughBreaker } from './circuit-breaker.js'
import type { Location } from './geography.js'

/** The circuit of the enrichment service. */
export const CIRCUIT = 'airport-service'

const breaker = { maxFailures: 5, resetAfter: 300 }

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

  constructor(state: MySQLAdapter, service: string) {
    this.#state = state
    this.#service = service
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
    for (;;) {
      try {
        const location = await throughBreaker(this.#state, CIRCUIT, breaker, () => this.#ask(iata))
        await this.#state.set(key, location, TIME_TO_LIVE)
        return location
      } catch (error) {
        if (!(error instanceof CircuitOpen || error instanceof ServiceFailure)) throw error
        await sleep(PAUSE)
        signal.throwIfAborted()
      }
    }
  }

  async #ask(iata: string): Promise<Location> {
    try {
      const response = await fetch(`${this.#service}/airports/${iata}`, { signal: AbortSignal.timeout(LONGEST_CALL) })
      if (!response.ok) throw new Error(`status ${response.status}`)
      return (await response.json()) as Location
    } catch (cause) {
      throw new ServiceFailure(`no answer about ${iata}`, { cause })
    }
  }
}

class ServiceFailure extends Error {}
