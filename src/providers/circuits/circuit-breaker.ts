import type { CircuitState } from '../../contracts.js'
import type { Operations } from '../../database/operations.js'
import { InvalidArgumentError } from '../../errors.js'
import { refuseUnknown } from '../../options.js'
import type { BreakerRepository } from '../../repositories/breaker-repository.js'
import { type Call, makeCall } from './circuit-call.js'
import type { CircuitMirror } from './circuit-mirror.js'
import type { CircuitBreakerOptions } from './circuit-options.js'
import type { CircuitProber, Outcome, Probe } from './circuit-prober.js'

/** How one call through a breaker is made. */
export interface CallOptions<F> {
  /** Ends the call for its caller. What is aborted counts neither as a success nor as a failure. */
  signal?: AbortSignal
  /** Stands in for the call that was not let through, timed out or failed. Gets the error; may throw it. */
  fallback?: (error: unknown) => F | Promise<F>
}

/** A circuit as this process knows it, and what changes it by hand. */
export interface CircuitContext {
  readonly mirror: CircuitMirror
  readonly prober: CircuitProber
  readonly storedKey: string
  readonly repository: BreakerRepository
  readonly operations: Operations
}

/**
 * A circuit breaker whose state all processes share.
 *
 * While the circuit is closed, calls cost no query: this process goes by what it knows, looks at the shared state
 * beside the calls, and reports what it counted in batches. When the database is away, it decides on its own.
 */
export class CircuitBreaker {
  readonly #circuit: () => CircuitContext
  readonly #timeout: number | undefined
  readonly #shouldTrip: (error: unknown) => boolean

  /**
   * @param circuit - Gives the circuit as its adapter knows it.
   * @internal
   */
  constructor(circuit: () => CircuitContext, { timeout, shouldTrip = () => true }: CircuitBreakerOptions) {
    this.#circuit = circuit
    this.#timeout = timeout
    this.#shouldTrip = shouldTrip
  }

  /** What guards the service, as it was passed to `breaker`. */
  get key(): string {
    return this.#circuit().mirror.key
  }

  /** The state as this process knows it; `closed` before the first call. {@link refresh} makes it current. */
  get state(): CircuitState {
    return this.#circuit().mirror.view.state
  }

  /**
   * Makes a call, if the circuit lets it through.
   *
   * @param call - Gets a signal that aborts with the caller's, and when the breaker's `timeout` is over.
   * @throws {@link CircuitOpenError} when the call was not made; its `retryAfter` says when to come again.
   * @throws {@link CallTimeoutError}, the signal's reason, and whatever `call` or `fallback` throws. Never because the
   *   database is away.
   * @example
   * ```ts
   * const breaker = state.circuits.breaker('payment-gateway', { failureThreshold: 5, resetTimeout: 30_000 })
   * const receipt = await breaker.execute(({ signal }) => fetch(gateway, { signal }))
   * ```
   */
  async execute<T, F = never>(call: Call<T>, options: CallOptions<F> = {}): Promise<T | F> {
    refuseUnknown('options', options, ['signal', 'fallback'])
    if (typeof call !== 'function') throw new InvalidArgumentError(`call: expected a function, got ${typeof call}`)
    const { signal, fallback } = options
    if (fallback !== undefined && typeof fallback !== 'function') {
      throw new InvalidArgumentError(`options.fallback: expected a function, got ${typeof fallback}`)
    }
    signal?.throwIfAborted()
    const circuit = this.#circuit()
    circuit.operations.assertOpen('execute')
    if (fallback === undefined) return this.#attempt(circuit, call, signal)
    try {
      return await this.#attempt(circuit, call, signal)
    } catch (error) {
      if (signal?.aborted) throw error
      return fallback(error)
    }
  }

  /**
   * Reports what this process has counted, and looks at the shared state, now rather than at the next occasion.
   * When the database does not answer, the state stays what this process makes of it.
   */
  async refresh(): Promise<CircuitState> {
    const { mirror, operations } = this.#circuit()
    operations.assertOpen('refresh')
    await mirror.refreshAnew()
    return mirror.view.state
  }

  /**
   * Opens the circuit for all processes until {@link reset}: no probe is let through.
   *
   * @throws {@link ContentionError} | {@link UnavailableError}
   */
  async isolate(): Promise<void> {
    const { operations, repository, storedKey, mirror } = this.#circuit()
    await operations.run('isolate', () => repository.isolate(storedKey))
    await mirror.refreshAnew()
  }

  /**
   * Closes the circuit for all processes, and forgets the failures.
   *
   * @throws {@link ContentionError} | {@link UnavailableError}
   */
  async reset(): Promise<void> {
    const { operations, repository, storedKey, mirror } = this.#circuit()
    await operations.run('reset', () => repository.reset(storedKey))
    await mirror.refreshAnew()
  }

  async #attempt<T>({ mirror, prober }: CircuitContext, call: Call<T>, signal: AbortSignal | undefined): Promise<T> {
    const looked = mirror.lookedAt()
    if (looked !== undefined) await looked
    const probe = mirror.view.state === 'closed' ? null : await prober.begin()
    const { epoch } = mirror
    let result: T
    try {
      signal?.throwIfAborted()
      result = await makeCall(call, this.#timeout, signal)
    } catch (error) {
      await tell(mirror, probe, epoch, signal?.aborted ? 'cancelled' : this.#judge(error), error)
      throw error
    }
    await tell(mirror, probe, epoch, 'success')
    return result
  }

  #judge(error: unknown): Outcome {
    try {
      return this.#shouldTrip(error) ? 'failure' : 'success'
    } catch {
      // Whoever cannot tell is better off careful.
      return 'failure'
    }
  }
}

function tell(
  mirror: CircuitMirror,
  probe: Probe | null,
  epoch: number,
  outcome: Outcome,
  error?: unknown,
): Promise<void> | undefined {
  const reason = outcome === 'failure' ? describe(error) : ''
  if (probe !== null) return probe.settle(outcome, reason)
  if (outcome !== 'cancelled') mirror.record(epoch, outcome === 'failure', reason)
  return undefined
}

// What a failure's reason may take of the row.
const LONGEST_REASON = 200

/** An error in the words that `details` shows. */
export function describe(error: unknown): string {
  let text: string
  try {
    text = String(error)
  } catch {
    text = typeof error
  }
  return text.slice(0, LONGEST_REASON).toWellFormed()
}
