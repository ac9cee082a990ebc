import { InvalidArgumentError, MySQLAdapter, MySQLCacheAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool, type Pool } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assertCount, assertTimeToLive, resolveOptions } from '../../src/options.js'

const known = ['keyPrefix', 'createTables', 'timeout', 'retry', 'endPool', 'defaultLockTTL'] as const
const resolve = (options: object) => resolveOptions(options, known)

describe('options', () => {
  it('have defaults', () => {
    const defaults = {
      keyPrefix: '',
      createTables: true,
      timeout: 10_000,
      retry: { contention: 10, connection: 3, pause: 10 },
      endPool: false,
      codec: expect.objectContaining({ encode: expect.any(Function), decode: expect.any(Function) }),
      defaultLockTTL: 30_000,
      lockPatience: 3,
      pollInterval: 1_000,
    }
    expect(resolve({})).toEqual(defaults)
    expect(resolve({ keyPrefix: undefined, retry: undefined, timeout: undefined })).toEqual(defaults)
    expect(resolve({ retry: { contention: undefined } })).toEqual(defaults)
  })

  it('replace the defaults one by one', () => {
    expect(resolve({ keyPrefix: 'billing:', retry: { connection: 0 } })).toEqual({
      ...resolve({}),
      codec: expect.anything(),
      keyPrefix: 'billing:',
      retry: { contention: 10, connection: 0, pause: 10 },
    })
  })

  it('cannot be changed afterwards, neither directly nor through the object that was passed', () => {
    const given = { keyPrefix: 'a', retry: { pause: 5 } }
    const resolved = resolve(given)
    given.keyPrefix = 'b'
    given.retry.pause = 6
    expect(resolved).toMatchObject({ keyPrefix: 'a', retry: { pause: 5 } })
    expect(Object.isFrozen(resolved)).toBe(true)
    expect(Object.isFrozen(resolved.retry)).toBe(true)
  })

  it.each<[string, object, RegExp]>([
    ['an unknown name', { prefix: 'a' }, /expected only keyPrefix.*got prefix/],
    ['an unknown name of retry', { retry: { attempts: 3 } }, /options\.retry: expected only.*got attempts/],
    ['a prefix that is no string', { keyPrefix: 7 }, /options\.keyPrefix: expected a string, got number/],
    ['a null prefix', { keyPrefix: null }, /options\.keyPrefix: expected a string, got null/],
    ['a prefix of 257 characters', { keyPrefix: 'a'.repeat(257) }, /at most 256 characters, got 257/],
    ['a prefix with a lone surrogate', { keyPrefix: '\ud800' }, /lone surrogate/],
    ['createTables that is no boolean', { createTables: 'no' }, /options\.createTables: expected true or false/],
    ['endPool that is no boolean', { endPool: 1 }, /options\.endPool: expected true or false/],
    ['a timeout of 0', { timeout: 0 }, /options\.timeout: expected milliseconds.*got 0/],
    ['an endless timeout', { timeout: Number.POSITIVE_INFINITY }, /options\.timeout.*got Infinity/],
    ['a timeout longer than a timer can be', { timeout: 2 ** 31 }, /options\.timeout/],
    ['a timeout that is no number', { timeout: '10' }, /options\.timeout.*got string/],
    ['a lock time of 0', { defaultLockTTL: 0 }, /options\.defaultLockTTL.*more than 0.*got 0/],
    ['a lock time that is not a number', { defaultLockTTL: Number.NaN }, /options\.defaultLockTTL.*got NaN/],
    ['fractional repetitions', { retry: { contention: 1.5 } }, /options\.retry\.contention.*got 1\.5/],
    ['negative repetitions', { retry: { connection: -1 } }, /options\.retry\.connection.*got -1/],
    ['endless repetitions', { retry: { connection: Number.POSITIVE_INFINITY } }, /options\.retry\.connection/],
    ['a pause of 0', { retry: { pause: 0 } }, /options\.retry\.pause.*got 0/],
    ['retry that is null', { retry: null }, /options\.retry: expected an object, got null/],
    ['retry that is a number', { retry: 3 }, /options\.retry: expected an object, got 3/],
  ])('refuse %s', (_name, options, message) => {
    expect(() => resolve(options)).toThrow(InvalidArgumentError)
    expect(() => resolve(options)).toThrow(message)
  })

  it('refuse anything but an object', () => {
    for (const options of [null, 'billing:', 3, true]) {
      expect(() => resolve(options as unknown as object)).toThrow(/options: expected an object/)
    }
  })

  it('take a prefix of 256 characters, however many code units they need', () => {
    expect(resolve({ keyPrefix: '😀'.repeat(256) }).keyPrefix).toHaveLength(512)
    expect(() => resolve({ keyPrefix: '😀'.repeat(257) })).toThrow(/at most 256 characters, got 257/)
  })
})

describe('a time to live', () => {
  it('is any positive number of milliseconds up to some 3,000 years', () => {
    for (const ttl of [0.001, 1, 1.5, 30_000, 1e14]) expect(() => assertTimeToLive(ttl)).not.toThrow()
    for (const ttl of [
      0,
      -0,
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      1e14 + 1,
      '5',
      null,
    ]) {
      expect(() => assertTimeToLive(ttl as number)).toThrow(InvalidArgumentError)
    }
  })
})

describe('a count', () => {
  it('is a whole number, 0 or more', () => {
    for (const count of [0, 1, Number.MAX_SAFE_INTEGER]) expect(() => assertCount('n', count)).not.toThrow()
    for (const count of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined, 1n]) {
      expect(() => assertCount('n', count as number)).toThrow(/n: expected a whole number, 0 or more/)
    }
  })
})

describe.each([MySQLAdapter, MySQLCacheAdapter, MySQLIdempotencyAdapter])('new %o', (Adapter) => {
  let pool: Pool

  // Pools connect when they are first used, and this one never is.
  beforeAll(() => {
    pool = createPool({ host: '127.0.0.1' })
  })

  afterAll(() => pool.end())

  it('needs no options', () => {
    expect(new Adapter(pool).isConnected()).toBe(false)
  })

  it('refuses unknown options', () => {
    expect(() => new Adapter(pool, { ttl: 3 } as object)).toThrow(InvalidArgumentError)
  })

  it('refuses what is no pool', () => {
    for (const database of [null, undefined, {}, 7, { query() {} }]) {
      expect(() => new Adapter(database as unknown as Pool)).toThrow(/database: expected a mysql2 pool/)
    }
  })
})

describe('defaultLockTTL', () => {
  it('is an option of the adapter that has locks only', async () => {
    const pool = createPool({ host: '127.0.0.1' })
    expect(() => new MySQLAdapter(pool, { defaultLockTTL: 5 })).not.toThrow()
    for (const Adapter of [MySQLCacheAdapter, MySQLIdempotencyAdapter]) {
      expect(() => new Adapter(pool, { defaultLockTTL: 5 } as object)).toThrow(/got defaultLockTTL/)
    }
    await pool.end()
  })
})
