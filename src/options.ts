import type { Codec } from './codec/codec.js'
import { compressed } from './codec/compression.js'
import { jsonCodec } from './codec/json-codec.js'
import { richCodec } from './codec/rich-codec.js'
import { InvalidArgumentError } from './errors.js'
import { assertStorable, MAXIMUM_KEY_LENGTH } from './keys.js'

/** How often a failed statement is repeated before the failure is thrown. */
export interface RetryOptions {
  /**
   * Repetitions after contention with other transactions: deadlocks and lock wait timeouts.
   *
   * @default 10
   */
  readonly contention: number
  /**
   * Repetitions after a lost or refused connection.
   *
   * @default 3
   */
  readonly connection: number
  /**
   * Milliseconds before the first repetition; doubled, with jitter, for each further one.
   *
   * @default 10
   */
  readonly pause: number
}

/** Options that every adapter takes. */
export interface AdapterOptions {
  /**
   * Put before every stored key, so that several services can share the tables.
   *
   * @default ''
   */
  keyPrefix?: string
  /**
   * Whether `connect()` may create and upgrade tables. Otherwise it only verifies them.
   *
   * @default true
   */
  createTables?: boolean
  /**
   * Milliseconds to wait for a connection from the pool, and again for the answer to a statement.
   * A call whose time ran out fails at once, without repetitions.
   *
   * @default 10000
   */
  timeout?: number
  /** How often a failed statement is repeated before the failure is thrown. */
  retry?: Partial<RetryOptions>
  /**
   * Whether `disconnect()` ends the pool. A pool that the adapter opened itself, from a URL, is always ended.
   *
   * @default false
   */
  endPool?: boolean
}

/** How values are stored. */
export interface ValueOptions {
  /**
   * Turns values into JSON text and back: `json`, which refuses what JSON cannot hold; `rich`, which keeps `undefined`,
   * errors, dates, BigInt, Map and Set; or one of your own, whose text must be JSON.
   *
   * @default 'json'
   */
  codec?: 'json' | 'rich' | Codec
  /**
   * Values whose text has more characters than this are stored compressed. They are read with or without the option.
   *
   * @default Infinity
   */
  compressAbove?: number
}

/** Options of {@link MySQLAdapter}. */
export interface MySQLAdapterOptions extends AdapterOptions, ValueOptions {
  /**
   * Milliseconds a lock is held when `acquire` is called without a ttl.
   *
   * @default 30000
   */
  defaultLockTTL?: number
  /**
   * How often `acquire` is repeated while another transaction holds the row of a lock that looks free, before it answers
   * `null`. The default takes less than 150 ms, in which the statements of other callers pass; a transaction that asserts
   * the lock lasts longer. Releasing and extending a lock are repeated as `retry.contention` says.
   *
   * @default 3
   */
  lockPatience?: number
  /**
   * Milliseconds between two looks at the circuits that somebody subscribed to.
   *
   * @default 1000
   */
  pollInterval?: number
}

/** All options with their defaults filled in. */
export interface ResolvedOptions {
  readonly keyPrefix: string
  readonly createTables: boolean
  readonly timeout: number
  readonly retry: RetryOptions
  readonly endPool: boolean
  readonly codec: Codec
  readonly defaultLockTTL: number
  readonly lockPatience: number
  readonly pollInterval: number
}

const defaults = {
  keyPrefix: '',
  createTables: true,
  timeout: 10_000,
  retry: { contention: 10, connection: 3, pause: 10 },
  endPool: false,
  codec: 'json',
  compressAbove: Number.POSITIVE_INFINITY,
  defaultLockTTL: 30_000,
  lockPatience: 3,
  pollInterval: 1_000,
}

// Leaves room for the kind and a key that is worth its name.
const MAXIMUM_PREFIX_LENGTH = MAXIMUM_KEY_LENGTH - 256

/** The longest delay of a timer, in milliseconds; a longer one would fire at once. */
export const MAXIMUM_TIMER = 2 ** 31 - 1

/** The longest time to live: beyond it DATETIME arithmetic would overflow. About 3,000 years. */
const MAXIMUM_TTL = 1e14

/**
 * Checks the options once, fills in the defaults and freezes the result.
 *
 * @param known - The names this adapter understands; others are refused.
 * @throws {@link InvalidArgumentError}
 */
export function resolveOptions(
  options: MySQLAdapterOptions,
  known: readonly (keyof MySQLAdapterOptions)[],
): ResolvedOptions {
  refuseUnknown('options', options, known)
  const { retry = {} } = options
  refuseUnknown('options.retry', retry, ['contention', 'connection', 'pause'])
  const resolved = { ...defaults, ...defined(options), retry: { ...defaults.retry, ...defined(retry) } }
  assertStorable('options.keyPrefix', resolved.keyPrefix, MAXIMUM_PREFIX_LENGTH)
  for (const name of ['createTables', 'endPool'] as const) {
    if (typeof resolved[name] !== 'boolean') {
      throw new InvalidArgumentError(`options.${name}: expected true or false, got ${typeof resolved[name]}`)
    }
  }
  assertBetween('options.timeout', resolved.timeout, 1, MAXIMUM_TIMER)
  assertBetween('options.defaultLockTTL', resolved.defaultLockTTL, Number.MIN_VALUE, MAXIMUM_TTL)
  assertBetween('options.retry.pause', resolved.retry.pause, 1, MAXIMUM_TIMER)
  assertCount('options.lockPatience', resolved.lockPatience)
  assertTimer('options.pollInterval', resolved.pollInterval)
  assertCount('options.retry.contention', resolved.retry.contention)
  assertCount('options.retry.connection', resolved.retry.connection)
  const { compressAbove, ...others } = resolved
  if (typeof compressAbove !== 'number' || !(compressAbove >= 0)) {
    throw new InvalidArgumentError(
      `options.compressAbove: expected a number, 0 or more, got ${describe(compressAbove)}`,
    )
  }
  const codec = compressed(codecOf(resolved.codec), compressAbove)
  return Object.freeze({ ...others, codec, retry: Object.freeze(resolved.retry) })
}

/**
 * Refuses a time to live that is not a finite, positive number of milliseconds.
 *
 * @throws {@link InvalidArgumentError}
 */
export function assertTimeToLive(ttl: number): void {
  assertBetween('ttl', ttl, Number.MIN_VALUE, MAXIMUM_TTL)
}

/**
 * Refuses a duration that is not a finite number of milliseconds, 0 or more.
 *
 * @throws {@link InvalidArgumentError}
 */
export function assertMilliseconds(name: string, value: number): void {
  assertBetween(name, value, 0, MAXIMUM_TTL)
}

/**
 * Refuses a duration that is not a positive number of milliseconds a timer can wait.
 *
 * @throws {@link InvalidArgumentError}
 */
export function assertTimer(name: string, value: number): void {
  assertBetween(name, value, Number.MIN_VALUE, MAXIMUM_TIMER)
}

/**
 * Refuses anything but a whole number, 0 or more.
 *
 * @throws {@link InvalidArgumentError}
 */
export function assertCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError(`${name}: expected a whole number, 0 or more, got ${describe(value)}`)
  }
}

function assertBetween(name: string, value: number, least: number, most: number): void {
  if (typeof value === 'number' && value >= least && value <= most) return
  const range = least === Number.MIN_VALUE ? 'more than 0' : `at least ${least}`
  throw new InvalidArgumentError(`${name}: expected milliseconds, ${range} and at most ${most}, got ${describe(value)}`)
}

function codecOf(choice: unknown): Codec {
  if (choice === 'json') return jsonCodec
  if (choice === 'rich') return richCodec
  if (typeof choice === 'object' && choice !== null && 'encode' in choice && 'decode' in choice) return choice as Codec
  throw new InvalidArgumentError("options.codec: expected 'json', 'rich', or an object with encode and decode")
}

/**
 * Refuses options that nothing would read.
 *
 * @throws {@link InvalidArgumentError}
 */
export function refuseUnknown(name: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError(`${name}: expected an object, got ${describe(options)}`)
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new InvalidArgumentError(`${name}: expected only ${known.join(', ')}, got ${key}`)
    }
  }
}

/** The options that were given; `undefined` stands for an absent one. */
export function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}

function describe(value: unknown): string {
  return typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value
}
