import { InvalidArgumentError } from '../../errors.js'
import { assertCount, assertTimer, defined, refuseUnknown } from '../../options.js'

/** A change of a circuit's state, told in the one process that made it. */
export interface CircuitTransition {
  readonly key: string
  readonly from: 'closed' | 'open' | 'half-open'
  readonly to: 'closed' | 'open' | 'half-open'
}

/** When a breaker opens, how it recovers, and what it counts. All processes should use the same options for a key. */
export interface CircuitBreakerOptions {
  /**
   * Failures in a row, of all processes together, that open the circuit. Not together with `failureRateThreshold`.
   *
   * @default 5
   */
  failureThreshold?: number
  /**
   * Share of failed calls, in per cent from more than 0 to 100, at which the circuit opens:
   * of all calls of all processes within `slidingWindow`, if there were at least `minimumNumberOfCalls`.
   */
  failureRateThreshold?: number
  /**
   * Milliseconds for which a call counts towards the failure rate. Told apart to a tenth of it.
   *
   * @default 10000
   */
  slidingWindow?: number
  /**
   * Calls within `slidingWindow` below which the failure rate does not matter.
   *
   * @default 20
   */
  minimumNumberOfCalls?: number
  /**
   * Distinct processes, by host name and process id, that must have seen failures before the circuit opens: one bad node
   * opens it for nobody.
   *
   * @default 1
   */
  minimumInstances?: number
  /**
   * Milliseconds from the opening until a probe is let through.
   *
   * @default 30000
   */
  resetTimeout?: number
  /**
   * By how much the reset timeout grows with each failed attempt to recover.
   *
   * @default 1
   */
  resetTimeoutFactor?: number
  /**
   * Milliseconds that the reset timeout does not grow beyond.
   *
   * @default 300000, or `resetTimeout` where that is longer
   */
  maximumResetTimeout?: number
  /**
   * Probes that run at once while the circuit is half-open, of all processes together. At most 10.
   *
   * @default 1
   */
  permittedProbes?: number
  /**
   * Probes that must succeed before the circuit closes.
   *
   * @default 1
   */
  successThreshold?: number
  /**
   * Milliseconds after which the permit of a crashed prober is free again. It is renewed while the probe runs.
   *
   * @default 10000
   */
  probeTtl?: number
  /** Milliseconds after which a call counts as failed, and rejects with {@link CallTimeoutError}. No limit by default. */
  timeout?: number
  /**
   * For how many milliseconds this process goes by what it knows, before it looks at the shared state again.
   *
   * @default 500
   */
  refreshInterval?: number
  /**
   * Whether an error counts as a failure of the service. One that does not counts as a success: the service answered.
   *
   * @default every error counts
   */
  shouldTrip?: (error: unknown) => boolean
  /** Told of each change of state that a call through this breaker made; no other process is told of it. */
  onTransition?: (transition: CircuitTransition) => void
}

/** The options that concern the circuit itself, with their defaults filled in. */
export interface CircuitSettings {
  readonly failureThreshold: number
  /** `undefined` when failures in a row are counted. */
  readonly failureRateThreshold: number | undefined
  readonly slidingWindow: number
  readonly minimumNumberOfCalls: number
  readonly minimumInstances: number
  readonly resetTimeout: number
  readonly resetTimeoutFactor: number
  readonly maximumResetTimeout: number
  readonly permittedProbes: number
  readonly successThreshold: number
  readonly probeTtl: number
  readonly refreshInterval: number
}

const defaults: CircuitSettings = {
  failureThreshold: 5,
  failureRateThreshold: undefined,
  slidingWindow: 10_000,
  minimumNumberOfCalls: 20,
  minimumInstances: 1,
  resetTimeout: 30_000,
  resetTimeoutFactor: 1,
  maximumResetTimeout: 300_000,
  permittedProbes: 1,
  successThreshold: 1,
  probeTtl: 10_000,
  refreshInterval: 500,
}

const MAXIMUM_PROBES = 10

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {@link InvalidArgumentError}
 */
export function resolveCircuitSettings(options: CircuitBreakerOptions): CircuitSettings {
  refuseUnknown('options', options, [...Object.keys(defaults), 'timeout', 'shouldTrip', 'onTransition'])
  const { timeout, shouldTrip, onTransition, ...given } = defined(options)
  if (given.failureRateThreshold !== undefined && given.failureThreshold !== undefined) {
    throw new InvalidArgumentError('options: expected failureThreshold or failureRateThreshold, got both')
  }
  if (given.failureRateThreshold === undefined) {
    for (const name of ['slidingWindow', 'minimumNumberOfCalls'] as const) {
      if (name in given) throw new InvalidArgumentError(`options.${name}: expected failureRateThreshold along with it`)
    }
  }
  const { resetTimeout = defaults.resetTimeout } = given
  const maximumResetTimeout = Math.max(defaults.maximumResetTimeout, resetTimeout)
  const settings: CircuitSettings = { ...defaults, maximumResetTimeout, ...given }
  for (const name of ['failureThreshold', 'minimumNumberOfCalls', 'minimumInstances', 'successThreshold'] as const) {
    assertPositive(name, settings[name])
  }
  assertPositive('permittedProbes', settings.permittedProbes)
  if (settings.permittedProbes > MAXIMUM_PROBES) {
    throw new InvalidArgumentError(`options.permittedProbes: expected at most ${MAXIMUM_PROBES}`)
  }
  for (const name of ['slidingWindow', 'resetTimeout', 'maximumResetTimeout', 'probeTtl', 'refreshInterval'] as const) {
    assertTimer(`options.${name}`, settings[name])
  }
  if (settings.maximumResetTimeout < settings.resetTimeout) {
    throw new InvalidArgumentError('options.maximumResetTimeout: expected at least resetTimeout')
  }
  if (timeout !== undefined) assertTimer('options.timeout', timeout)
  const { failureRateThreshold: rate, resetTimeoutFactor: factor } = settings
  if (rate !== undefined && !(typeof rate === 'number' && rate > 0 && rate <= 100)) {
    throw new InvalidArgumentError('options.failureRateThreshold: expected per cent, more than 0 and at most 100')
  }
  if (!(Number.isFinite(factor) && factor >= 1)) {
    throw new InvalidArgumentError('options.resetTimeoutFactor: expected a finite number, 1 or more')
  }
  for (const [name, callback] of Object.entries({ shouldTrip, onTransition })) {
    if (callback !== undefined && typeof callback !== 'function') {
      throw new InvalidArgumentError(`options.${name}: expected a function, got ${typeof callback}`)
    }
  }
  return Object.freeze(settings)
}

/** Milliseconds from an opening to the first probe, after so many failed attempts to recover. */
export function resetDelay(settings: CircuitSettings, attempt: number): number {
  // Beyond the range of numbers the product is Infinity, and the maximum counts.
  return Math.min(settings.maximumResetTimeout, settings.resetTimeout * settings.resetTimeoutFactor ** attempt)
}

function assertPositive(name: string, value: number): void {
  assertCount(`options.${name}`, value)
  if (value === 0) throw new InvalidArgumentError(`options.${name}: expected 1 or more, got 0`)
}
