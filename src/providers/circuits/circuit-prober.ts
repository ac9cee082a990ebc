import type { Operations } from '../../database/operations.js'
import { CircuitOpenError, NotConnectedError, UnavailableError } from '../../errors.js'
import type { BreakerRepository } from '../../repositories/breaker-repository.js'
import { Lease } from '../locks/lock-lease.js'
import type { Locks } from '../locks/lock-provider.js'
import type { CircuitMirror } from './circuit-mirror.js'
import { resetDelay } from './circuit-options.js'
import { settlesWithin } from './patience.js'

/** What a circuit's prober works with. */
export interface ProberContext {
  readonly repository: BreakerRepository
  readonly operations: Operations
  /** Grants the permits. A crashed prober's lock expires, and another process may probe. */
  readonly permits: Locks
  /** Names this process. */
  readonly instance: string
}

/** How a call went: `cancelled` tells nothing about the service. */
export type Outcome = 'success' | 'failure' | 'cancelled'

/** A call that tests whether the service has recovered. */
export interface Probe {
  /** Tells how it went. Never rejects. */
  settle(outcome: Outcome, reason: string): Promise<void>
}

interface Permit {
  readonly lease: Lease
  readonly version: number
}

// Milliseconds that a probe waits for the database. One caller of a process waits, while all others are rejected anyway.
const PATIENCE = 2_000

/** The key of the lock that permits one of the probes of a circuit. */
export function permitKey(key: string, slot: number): string {
  return `${key}/${slot}`
}

/**
 * Lets some calls through a circuit that is open and due, or half-open: as many at once, over all processes, as there
 * are permits. A permit is a lock that is kept alive while the probe runs; the outcome counts only if the circuit has
 * not changed meanwhile. Without the database, this process probes on its own.
 */
export class CircuitProber {
  readonly #mirror: CircuitMirror
  readonly #storedKey: string
  readonly #context: ProberContext
  #running = 0
  #nextTry = 0
  #ownSuccesses = 0

  constructor(mirror: CircuitMirror, storedKey: string, context: ProberContext) {
    this.#mirror = mirror
    this.#storedKey = storedKey
    this.#context = context
  }

  /**
   * Gets a permit.
   *
   * @returns `null` when the circuit has turned out to be closed.
   * @throws {@link CircuitOpenError} when all permits are taken, or it is not time yet.
   */
  async begin(): Promise<Probe | null> {
    if (!this.#mayProbe) throw this.rejection(0)
    const { permittedProbes } = this.#mirror.settings
    const untilTry = this.#nextTry - performance.now()
    if (this.#running >= permittedProbes || untilTry > 0) throw this.rejection(untilTry)
    this.#running++
    try {
      const permit = await this.#takePatiently()
      if (permit !== undefined) {
        if (permit !== null) return this.#shared(permit)
      } else if (this.#mayProbe) return this.#local()
    } catch (error) {
      this.#running--
      throw error
    }
    this.#running--
    if (this.#mirror.view.state === 'closed') return null
    throw this.rejection(0)
  }

  /** Says when to come again: when the circuit is due, or else after `wait` milliseconds or the next refresh. */
  rejection(wait: number): CircuitOpenError {
    const { view, untilDue, key, settings } = this.#mirror
    const isDue = view.state !== 'open' || untilDue === 0
    const retryAfter = isDue ? (wait > 0 ? wait : settings.refreshInterval) : untilDue
    const state = untilDue === Number.POSITIVE_INFINITY ? 'isolated' : isDue ? 'being probed' : 'open'
    const advice = state === 'isolated' ? 'reset it by hand' : `try again in ${Math.ceil(retryAfter)} ms`
    return new CircuitOpenError(retryAfter, `the circuit ${JSON.stringify(key)} is ${state}: ${advice}`, {
      operation: 'execute',
    })
  }

  get #mayProbe(): boolean {
    const { view, untilDue } = this.#mirror
    return view.state === 'half-open' || (view.state === 'open' && untilDue === 0)
  }

  /** A permit; `null` when there is none to have; `undefined` when the database does not answer. */
  async #takePatiently(): Promise<Permit | null | undefined> {
    if (this.#mirror.isAway) return undefined
    const taking = this.#take()
    if (!(await settlesWithin(taking, PATIENCE))) {
      this.#mirror.giveUpWaiting()
      taking.then((permit) => permit?.lease.release()).catch(() => {})
      return undefined
    }
    try {
      return await taking
    } catch (error) {
      if (error instanceof NotConnectedError) throw error
      this.#mirror.giveUpWaiting()
      return undefined
    }
  }

  async #take(): Promise<Permit | null> {
    const lease = await this.#takeLock()
    if (lease === null) {
      const { refreshInterval } = this.#mirror.settings
      this.#nextTry = performance.now() + refreshInterval * (0.5 + Math.random() / 2)
      return null
    }
    try {
      const version = await this.#enterHalfOpen()
      if (version !== undefined) return { lease, version }
    } catch (error) {
      await lease.release().catch(() => {})
      throw error
    }
    await lease.release()
    return null
  }

  async #takeLock(): Promise<Lease | null> {
    const { key, settings } = this.#mirror
    for (let slot = 0; slot < settings.permittedProbes; slot++) {
      const lock = await this.#context.permits.acquire(permitKey(key, slot), settings.probeTtl)
      if (lock !== null) return new Lease(lock, settings.probeTtl, true)
    }
    return null
  }

  /** The version in which the probe runs; `undefined` when the circuit does not want one. */
  async #enterHalfOpen(): Promise<number | undefined> {
    const row = await this.#mirror.read()
    if (row.state === 'half-open') return row.version
    if (row.state === 'closed' || row.isIsolated || this.#mirror.untilDue > 0) return undefined
    const { operations, repository } = this.#context
    const delay = resetDelay(this.#mirror.settings, row.attempt)
    const begins = () => repository.beginProbing(this.#storedKey, row.version, delay)
    if (await operations.run('circuit breaker', begins)) {
      const version = row.version + 1
      this.#mirror.adopt({ ...row, state: 'half-open', version }, performance.now())
      this.#mirror.announce('open', 'half-open')
      return version
    }
    // Another prober was quicker, and there may be room for both.
    const current = await this.#mirror.read()
    return current.state === 'half-open' ? current.version : undefined
  }

  #shared(permit: Permit): Probe {
    return {
      settle: async (outcome, reason) => {
        const settling = this.#settleShared(permit, outcome, reason)
        const isSettled = settling.then(
          () => true,
          () => false,
        )
        if (!(await settlesWithin(settling, PATIENCE)) || !(await isSettled)) {
          // What the probe found counts here until the database is back.
          this.#mirror.giveUpWaiting()
          this.#settleLocally(outcome)
        }
        this.#running--
      },
    }
  }

  async #settleShared({ lease, version }: Permit, outcome: Outcome, reason: string): Promise<void> {
    const { operations, repository, instance } = this.#context
    const { successThreshold } = this.#mirror.settings
    try {
      if (outcome === 'success') {
        const add = () => repository.addProbeSuccess(this.#storedKey, version, lease.tenure, successThreshold)
        // Repeated, it might count twice. If the answer was lost and the success as well, another probe follows.
        const adding = operations.run('circuit breaker', add, { repeatable: false }).catch(unlessUnanswered)
        if (await adding) this.#mirror.announce('half-open', 'closed')
      } else if (outcome === 'failure') {
        const reopen = () => repository.reopen(this.#storedKey, version, lease.tenure, instance, reason)
        if (await operations.run('circuit breaker', reopen)) this.#mirror.announce('half-open', 'open')
      }
      await this.#mirror.read()
    } finally {
      // Whatever happens, the permit must not be renewed any more; one that cannot be given back expires.
      await lease.release()
    }
  }

  #local(): Probe {
    return {
      settle: async (outcome) => {
        // The database may have come back, and knows better.
        if (this.#mirror.isAway) this.#settleLocally(outcome)
        this.#running--
      },
    }
  }

  #settleLocally(outcome: Outcome): void {
    const mirror = this.#mirror
    if (mirror.view.state === 'closed' || outcome === 'cancelled') return
    if (outcome === 'failure') {
      this.#ownSuccesses = 0
      mirror.assume('open', mirror.view.attempt + 1)
    } else if (++this.#ownSuccesses >= mirror.settings.successThreshold) {
      this.#ownSuccesses = 0
      mirror.assume('closed', 0)
    }
  }
}

function unlessUnanswered(error: unknown): boolean {
  if (error instanceof UnavailableError) return false
  throw error
}
