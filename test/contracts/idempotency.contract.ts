import { inspect } from 'node:util'
import {
  InvalidArgumentError,
  MySQLAdapter,
  MySQLCacheAdapter,
  MySQLIdempotencyAdapter,
  SerializationError,
} from 'goscope-mysql'
import type { Pool } from 'mysql2/promise'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { recordStatements, type SentStatement } from '../support/statements.js'

const secret = 'SECRET-4711'

class PaymentError extends Error {
  override readonly name = 'PaymentError'
  readonly code = 'CARD_DECLINED'
}

onEveryServer('idempotency', (context) => {
  let pool: Pool
  let sent: SentStatement[]
  let prefixes = 0

  beforeAll(async () => {
    pool = context.pool()
    sent = recordStatements(pool)
    await new MySQLIdempotencyAdapter(pool).connect()
  })

  const freshPrefix = () => `test${++prefixes}:`
  const idempotencyOf = (keyPrefix = freshPrefix()) => new MySQLIdempotencyAdapter(pool, { keyPrefix })

  /** Milliseconds since 1970, by the server. */
  async function serverTime(): Promise<number> {
    const [rows] = await context.admin.query(
      "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1000 as now",
    )
    return Number((rows as { now: string }[])[0]?.now)
  }

  describe('an outcome', () => {
    it('is null before it was stored and after it was deleted', async () => {
      const idempotency = idempotencyOf()
      expect(await idempotency.get('charge')).toBeNull()
      await idempotency.set('charge', { receipt: 'R-1' })
      expect(await idempotency.get('charge')).toEqual({ value: { receipt: 'R-1' } })
      await idempotency.delete('charge')
      await idempotency.delete('charge')
      expect(await idempotency.get('charge')).toBeNull()
    })

    it('is replaced by a later one', async () => {
      const idempotency = idempotencyOf()
      await idempotency.set('charge', 1, 60_000)
      await idempotency.set('charge', [2])
      expect(await idempotency.get('charge')).toStrictEqual({ value: [2] })
    })

    it('is known to other adapters of the same prefix, and to no other prefix', async () => {
      const keyPrefix = freshPrefix()
      await idempotencyOf(keyPrefix).set('charge', 1)
      expect(await idempotencyOf(keyPrefix).get('charge')).toEqual({ value: 1 })
      for (const other of ['', `${keyPrefix}idempotency:`, keyPrefix.toUpperCase(), `${keyPrefix} `]) {
        expect(await idempotencyOf(other).get('charge')).toBeNull()
      }
    })

    it('that was a failure stays a failure', async () => {
      const idempotency = idempotencyOf()
      const cause = Object.assign(new TypeError('socket closed'), { code: 'ECONNRESET' })
      await idempotency.set('charge', [new PaymentError('card declined', { cause }), undefined])
      const record = await idempotency.get<[PaymentError, undefined]>('charge')
      const [error, value] = record?.value ?? []
      expect(record?.value).toHaveLength(2)
      expect(value).toBeUndefined()
      expect(error).toBeInstanceOf(Error)
      expect(error).toMatchObject({ name: 'PaymentError', message: 'card declined', code: 'CARD_DECLINED' })
      expect(error?.cause).toBeInstanceOf(Error)
      expect(error?.cause).toMatchObject({ name: 'TypeError', message: 'socket closed', code: 'ECONNRESET' })
    })

    it('that was a success stays a success', async () => {
      const idempotency = idempotencyOf()
      for (const value of [{ receipt: 'R-1' }, undefined, null, false, 0, '']) {
        await idempotency.set('charge', [undefined, value])
        expect(await idempotency.get('charge')).toStrictEqual({ value: [undefined, value] })
      }
    })

    it.each<[string, unknown]>([
      ['undefined', undefined],
      ['null', null],
      ['a Date', new Date('2024-02-29T23:59:59.999Z')],
      ['a BigInt', 2n ** 80n],
      [
        'a Map',
        new Map<unknown, unknown>([
          [1, new Date(0)],
          ['1', undefined],
          [{ key: true }, 5n],
        ]),
      ],
      ['a Set', new Set<unknown>([1, '1', undefined, null, 1n])],
      ['NaN', Number.NaN],
      ['infinities', [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
      ['minus zero', -0],
      ['bytes', new Uint8Array([0, 127, 255])],
      ['a Buffer', Buffer.from('receipt')],
      ['a URL', new URL('https://example.org/receipts?id=1')],
      [
        'all of it in one',
        { lines: [{ at: new Date(1), of: undefined, n: 1n }], tags: new Map([['a', new Set([Number.NaN])]]) },
      ],
      ['names with dots and backslashes', { 'a.b': 1n, 'a\\.b': 2n, 'c\\': { '.': new Date(2) }, '0': [3n] }],
    ])('may be %s', async (_name, value) => {
      const idempotency = idempotencyOf()
      await idempotency.set('charge', value)
      expect(await idempotency.get('charge')).toStrictEqual({ value })
    })

    it('may take 5 MB', async () => {
      const idempotency = idempotencyOf()
      const text = 'é😀x'.repeat(750_000)
      await idempotency.set('charge', [undefined, text])
      const record = await idempotency.get<[undefined, string]>('charge')
      expect(record?.value[1] === text).toBe(true)
    })
  })

  describe('an expiry', () => {
    it('is told by the database’s clock, wherever this process’s clock stands', async () => {
      const idempotency = idempotencyOf()
      for (const wrong of ['1990-01-01', '2090-01-01']) {
        const earliest = (await serverTime()) + 60_000
        let record: { expiresAt?: number } | null
        try {
          vi.useFakeTimers({ toFake: ['Date'], now: new Date(wrong) })
          await idempotency.set('charge', 1, 60_000)
          record = await idempotency.get('charge')
        } finally {
          vi.useRealTimers()
        }
        // Stored to the millisecond.
        expect(record?.expiresAt).toBeGreaterThanOrEqual(earliest - 1)
        expect(record?.expiresAt).toBeLessThanOrEqual((await serverTime()) + 60_001)
        expect(Number.isInteger(record?.expiresAt)).toBe(true)
      }
    })

    it('is the same under any time zone of the session', async () => {
      const keyPrefix = freshPrefix()
      await idempotencyOf(keyPrefix).set('charge', 1, 60_000)
      const plain = await idempotencyOf(keyPrefix).get('charge')
      const shifted = context.pool({ timezone: '+09:00', dateStrings: true })
      shifted.on('connection', (connection) => connection.query("set time_zone = '-11:00'"))
      expect(await new MySQLIdempotencyAdapter(shifted, { keyPrefix }).get('charge')).toEqual(plain)
    })

    it('is absent when no ttl was given', async () => {
      const idempotency = idempotencyOf()
      await idempotency.set('charge', 1, 60_000)
      await idempotency.set('charge', 2)
      expect(Object.keys((await idempotency.get('charge')) ?? {})).toEqual(['value'])
    })

    it('ends the record, after less than a second if need be', async () => {
      const idempotency = idempotencyOf()
      await idempotency.set('lasting', 1, 60_000)
      const begun = performance.now()
      await idempotency.set('short', 1, 400)
      while ((await idempotency.get('short')) !== null) expect(performance.now() - begun).toBeLessThan(20_000)
      expect(performance.now() - begun).toBeGreaterThan(390)
      expect(await idempotency.get('lasting')).toMatchObject({ value: 1 })
      await idempotency.set('short', 2)
      expect(await idempotency.get('short')).toEqual({ value: 2 })
    })

    it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e15, '60000', null])(
      'is refused before any SQL when the ttl is %s',
      async (ttl) => {
        const idempotency = idempotencyOf()
        await idempotency.set('charge', 'earlier')
        const before = sent.length
        await expect(idempotency.set('charge', 'later', ttl as number)).rejects.toThrow(InvalidArgumentError)
        expect(sent.length).toBe(before)
        expect(await idempotency.get('charge')).toEqual({ value: 'earlier' })
      },
    )
  })

  describe('records and the cache', () => {
    it('do not see each other under the same prefix and key', async () => {
      const keyPrefix = freshPrefix()
      const idempotency = idempotencyOf(keyPrefix)
      const caches = [new MySQLCacheAdapter(pool, { keyPrefix }), new MySQLAdapter(pool, { keyPrefix })]
      await idempotency.set('k', 'outcome')
      for (const cache of caches) {
        for (const key of ['k', 'idempotency:k', `${keyPrefix}idempotency:k`]) {
          expect(await cache.get(key)).toBeNull()
          expect(await cache.has(key)).toBe(false)
          await cache.delete(key)
        }
        expect(await cache.keys()).toEqual([])
        expect(await cache.keys('*idempotency*')).toEqual([])
        await cache.set('k', 'cached')
        expect(await idempotency.get('k')).toEqual({ value: 'outcome' })
        await cache.clear()
        expect(await idempotency.get('k')).toEqual({ value: 'outcome' })
      }
    })

    it('do not meet where a prefix looks like the other’s key', async () => {
      const keyPrefix = freshPrefix()
      const cache = new MySQLCacheAdapter(pool, { keyPrefix: `${keyPrefix}idempotency:` })
      const idempotency = idempotencyOf(keyPrefix)
      await cache.set('k', 'cached')
      await idempotency.set('cache:k', 'outcome')
      expect(await cache.get('k')).toBe('cached')
      expect(await idempotency.get('cache:k')).toEqual({ value: 'outcome' })
      await cache.clear()
      expect(await idempotency.get('cache:k')).toEqual({ value: 'outcome' })
    })
  })

  describe('what cannot be stored', () => {
    it.each<[string, unknown]>([
      ['a function', () => secret],
      ['a function inside', [undefined, { secret, act: () => secret }]],
      ['a function in the cause of an error', [new Error(secret, { cause: () => secret }), undefined]],
      ['a symbol', [undefined, Symbol(secret)]],
      ['a Promise that was not awaited', [undefined, Promise.resolve(secret)]],
      ['an invalid Date', [secret, new Date(Number.NaN)]],
      ['a property named constructor', [undefined, { constructor: secret }]],
    ])('is refused before any SQL: %s', async (_name, value) => {
      const idempotency = idempotencyOf()
      await idempotency.set('charge', 'earlier')
      const before = sent.length
      const error: unknown = await idempotency.set('charge', value).catch((thrown) => thrown)
      expect(sent.length).toBe(before)
      expect(error).toBeInstanceOf(SerializationError)
      expect(inspect(error, { depth: 10 })).not.toContain(secret)
      expect(await idempotency.get('charge')).toEqual({ value: 'earlier' })
    })

    it('is refused before any SQL when the key is', async () => {
      const idempotency = idempotencyOf()
      const before = sent.length
      for (const key of ['x'.repeat(513), '\ud800', 7 as unknown as string]) {
        await expect(idempotency.set(key, 1)).rejects.toThrow(InvalidArgumentError)
        await expect(idempotency.get(key)).rejects.toThrow(InvalidArgumentError)
        await expect(idempotency.delete(key)).rejects.toThrow(InvalidArgumentError)
      }
      expect(sent.length).toBe(before)
    })
  })

  it('reports a text that somebody else stored, without quoting it', async () => {
    const keyPrefix = freshPrefix()
    const idempotency = idempotencyOf(keyPrefix)
    await idempotency.set('charge', 1)
    for (const text of [secret, `{"json": ${secret}`, `{"json":"${secret}","meta":{"values":["bigint"],"v":1}}`]) {
      await context.admin.query('update go_goscope_cache set value = ? where `key` = ?', [
        text,
        `${keyPrefix}idempotency:charge`,
      ])
      const error: unknown = await idempotency.get('charge').catch((thrown) => thrown)
      expect(error).toBeInstanceOf(SerializationError)
      expect(inspect(error, { depth: 10 })).not.toContain(secret)
    }
    await idempotency.set('charge', 2)
    expect(await idempotency.get('charge')).toEqual({ value: 2 })
  })
})
