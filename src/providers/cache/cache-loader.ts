import type { Codec } from '../../codec/codec.js'
import { ContentionError, InvalidArgumentError } from '../../errors.js'
import { assertMilliseconds, assertTimeToLive, refuseUnknown } from '../../options.js'
import { unlessAborted } from '../abort-listener.js'
import { type ClaimContext, claimOrRead } from '../claim.js'
import { Lease } from '../locks/lock-lease.js'
import { RememberedErrors } from './remembered-errors.js'
import { SingleFlight } from './single-flight.js'

/** How a missing value is made and kept. */
export interface GetOrSetOptions {
  /** Milliseconds for which the value is fresh; without one it stays until it is deleted. */
  ttl?: number
  /**
   * Milliseconds after the ttl in which the old value is still served, while one caller makes a new one.
   *
   * @default 0
   */
  stale?: number
  /**
   * Up to which share of the ttl is taken off at random, so that values made together do not expire together.
   *
   * @default 0
   */
  jitter?: number
  /**
   * Milliseconds after which the claim of a process that crashed in the factory expires. It is renewed meanwhile.
   *
   * @default 10000
   */
  lockTtl?: number
  /**
   * Milliseconds to wait while another process makes the value.
   *
   * @default 30000
   */
  wait?: number
  /**
   * Milliseconds in which this process does not call a factory again that threw: it answers with the stale value if
   * there is one, with any value that somebody set since, and otherwise with the error. Of many errors the latest
   * 1,000 are remembered.
   *
   * @default 0
   */
  negativeTtl?: number
  /** Ends this caller's waiting; others go on. */
  signal?: AbortSignal
  /** Told when a stale value could not be refreshed. The next caller tries again. */
  onRefreshError?: (error: unknown) => void
}

/**
 * Makes a value. The signal aborts when the claim was lost and another process may make it too.
 * It must not ask for its own key, for it would wait for itself.
 */
export type Factory<T> = (context: { readonly signal: AbortSignal }) => T | Promise<T>

/** A value's text, and whether it was there. */
export interface Loaded {
  readonly text: string
  readonly isHit: boolean
}

const defaults = { stale: 0, jitter: 0, lockTtl: 10_000, wait: 30_000, negativeTtl: 0 }

/** Makes missing values, each once at a time across all processes. */
export class CacheLoader {
  readonly #context: ClaimContext
  readonly #codec: Codec
  readonly #flights = new SingleFlight<Loaded>()
  readonly #refreshes = new SingleFlight<void>()
  readonly #failures = new RememberedErrors()

  constructor(context: ClaimContext, codec: Codec) {
    this.#context = context
    this.#codec = codec
  }

  /** See {@link Cache.getOrSet}. */
  async load<T>(key: string, storedKey: string, factory: Factory<T>, options: GetOrSetOptions): Promise<Loaded> {
    const resolved = resolve(options)
    const { signal } = options
    signal?.throwIfAborted()
    // Those who wait for different times do not share the end of the shortest.
    const flightKey = `${resolved.wait} ${storedKey}`
    const flight = this.#flights.run(flightKey, () => this.#readOrMake(key, storedKey, factory, resolved))
    return signal === undefined ? flight : unlessAborted(flight, signal)
  }

  async #readOrMake<T>(key: string, storedKey: string, factory: Factory<T>, options: Resolved): Promise<Loaded> {
    const claim = await claimOrRead(this.#context, 'getOrSet', key, storedKey, {
      lease: options.lockTtl,
      wait: options.wait,
      onMissing: () => this.#failures.throwIfAny(storedKey),
    })
    if (claim === null) {
      throw new ContentionError(`another process was making the value for ${options.wait} ms: wait longer`, {
        operation: 'getOrSet',
      })
    }
    if (claim instanceof Lease) return { text: await this.#make(claim, storedKey, factory, options), isHit: false }
    // A fresh value came after the error, and refutes it.
    if (!claim.isStale) this.#failures.forget(storedKey)
    // Whoever holds the claim is at this very work; once released, it looks as if nobody had taken it since.
    else if (claim.heldFor === 0 && !this.#failures.has(storedKey)) {
      this.#refreshes
        .run(storedKey, () => this.#refresh(key, storedKey, claim.fence, factory, options))
        .catch((error: unknown) => options.onRefreshError?.(error))
        .catch(() => {}) // A callback that throws harms nobody.
    }
    return { text: claim.value, isHit: true }
  }

  async #refresh<T>(
    key: string,
    storedKey: string,
    fence: number,
    factory: Factory<T>,
    options: Resolved,
  ): Promise<void> {
    const outcome = await this.#context.locks.leaseUnchanged(key, options.lockTtl, fence)
    if ('taken' in outcome) await this.#make(outcome.taken, storedKey, factory, options)
  }

  async #make<T>(lease: Lease, storedKey: string, factory: Factory<T>, options: Resolved): Promise<string> {
    try {
      const value = await this.#call(lease, storedKey, factory, options.negativeTtl)
      const text = this.#codec.encode(value)
      // Who lost the claim has been overtaken; the value is good for this caller, but not for the others.
      if (!lease.signal.aborted) await this.#store(lease, storedKey, text, options)
      return text
    } finally {
      // A claim that cannot be released now expires.
      await lease.release().catch(() => {})
    }
  }

  async #call<T>(lease: Lease, storedKey: string, factory: Factory<T>, negativeTtl: number): Promise<T> {
    try {
      return await factory({ signal: lease.signal })
    } catch (error) {
      if (negativeTtl > 0) this.#failures.remember(storedKey, error, negativeTtl)
      throw error
    }
  }

  async #store(lease: Lease, storedKey: string, text: string, { ttl, stale, jitter }: Resolved): Promise<void> {
    const fresh = ttl === undefined ? null : ttl * (1 - Math.random() * jitter)
    const row = { key: storedKey, value: text, ttl: fresh === null ? null : fresh + stale }
    const staleAfter = stale > 0 ? fresh : null
    const { operations, repository } = this.#context
    await operations.run('getOrSet', () => repository.putUnderLock(row, lease.tenure, staleAfter))
  }
}

type Resolved = typeof defaults & Pick<GetOrSetOptions, 'ttl' | 'onRefreshError'>

function resolve(options: GetOrSetOptions): Resolved {
  refuseUnknown('options', options, ['ttl', 'signal', 'onRefreshError', ...Object.keys(defaults)])
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const resolved: Resolved = { ...defaults, ...given }
  if (resolved.ttl !== undefined) assertTimeToLive(resolved.ttl)
  assertTimeToLive(resolved.lockTtl)
  for (const name of ['stale', 'wait', 'negativeTtl'] as const) assertMilliseconds(`options.${name}`, resolved[name])
  if (!(resolved.jitter >= 0 && resolved.jitter < 1)) {
    throw new InvalidArgumentError('options.jitter: expected a number from 0 to less than 1')
  }
  if (resolved.stale > 0 && resolved.ttl === undefined) {
    throw new InvalidArgumentError('options.stale: expected a ttl along with it')
  }
  return resolved
}
