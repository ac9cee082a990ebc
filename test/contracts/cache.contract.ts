import { inspect } from 'node:util'
import fc from 'fast-check'
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
import { explain, recordStatements, type SentStatement } from '../support/statements.js'

const secret = 'SECRET-4711'

// What the rules for keys and patterns, LIKE or the collation treat in a special way.
const characters = [...'abAB%_|\\*?\'"`: ', 'á', '\u2420', '\u241b', '\0', '\t', '\u001f', '\uffff', '😀', '\u{10ffff}']
const keyText = fc.string({ unit: fc.constantFrom(...characters), maxLength: 6 })

onEveryServer('cache', (context) => {
  let pool: Pool
  let sent: SentStatement[]
  let prefixes = 0

  beforeAll(async () => {
    pool = context.pool()
    sent = recordStatements(pool)
    await new MySQLCacheAdapter(pool).connect()
  })

  const freshPrefix = () => `test${++prefixes}:`
  const cacheOf = (keyPrefix = freshPrefix()) => new MySQLCacheAdapter(pool, { keyPrefix })

  /** Inserts rows behind the library's back, in the form in which it stores them. */
  async function insertRows(keyPrefix: string, count: number): Promise<void> {
    const rows = Array.from({ length: count }, (_, index) => [`${keyPrefix}cache:${nameOf(index)}`, String(index)])
    await context.admin.query('insert into go_goscope_cache (`key`, value) values ?', [rows])
  }
  const nameOf = (index: number) => `key-${String(index).padStart(5, '0')}`

  describe('values', () => {
    it('come back as they were stored, whatever their kind', async () => {
      const cache = cacheOf()
      const values = [
        true,
        false,
        0,
        -1,
        0.1 + 0.2,
        Number.MAX_VALUE,
        Number.MIN_VALUE,
        -Number.MAX_VALUE,
        Number.MAX_SAFE_INTEGER,
        '',
        ' ',
        'it\'s "quoted" \\ %s ? :name \0 \b \x1a',
        'Zażółć gęślą jaźń 😀 \u{10ffff} \uffff',
        '\ud800 alone',
        [],
        {},
        [[], {}, null, [null]],
        { '': 1, ' ': 2, é: 3, '😀': 4, nested: { list: [1, { two: 2 }] } },
      ]
      for (const value of values) {
        await cache.set('value', value)
        expect(await cache.get('value')).toStrictEqual(value)
      }
    })

    it('come back as they were stored, in a thousand kinds of nesting', async () => {
      const cache = cacheOf()
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.jsonValue({ stringUnit: 'binary' }), { minLength: 25, maxLength: 25 }),
          async (value) => {
            await cache.set('value', value)
            expect(JSON.stringify(await cache.get('value'))).toBe(JSON.stringify(value))
          },
        ),
        { numRuns: 40 },
      )
    })

    it('keep the order of their keys', async () => {
      const cache = cacheOf()
      await cache.set('value', { zebra: 1, ant: 2, mole: { b: 1, a: 2, B: 3, aa: 4 } })
      expect(JSON.stringify(await cache.get('value'))).toBe('{"zebra":1,"ant":2,"mole":{"b":1,"a":2,"B":3,"aa":4}}')
    })

    it('may be null, which is not the same as absent', async () => {
      const cache = cacheOf()
      expect(await cache.get('value')).toBeNull()
      expect(await cache.has('value')).toBe(false)
      await cache.set('value', null)
      expect(await cache.get('value')).toBeNull()
      expect(await cache.has('value')).toBe(true)
      expect(await cache.keys()).toEqual(['value'])
    })

    it('may be nested 500 deep', async () => {
      const cache = cacheOf()
      let value: unknown = 'core'
      for (let level = 0; level < 250; level++) value = [{ level: value }]
      await cache.set('deep', value)
      expect(await cache.get('deep')).toEqual(value)
    })

    it('may take 5 MB', async () => {
      const cache = cacheOf()
      const value = { text: 'é😀x'.repeat(750_000), end: true }
      await cache.set('large', value)
      const found = await cache.get<typeof value>('large')
      // Not toEqual, which would print both on failure.
      expect(found?.text === value.text && found.end).toBe(true)
    })

    it('are replaced by later ones', async () => {
      const cache = cacheOf()
      await cache.set('value', { first: 'x'.repeat(1_000) })
      await cache.set('value', 2)
      expect(await cache.get('value')).toBe(2)
    })

    it('are gone when they were deleted, and deleting nothing is harmless', async () => {
      const cache = cacheOf()
      await cache.set('one', 1)
      await cache.set('two', 2)
      await cache.delete('one')
      await cache.delete('one')
      expect([await cache.get('one'), await cache.has('one'), await cache.get('two')]).toEqual([null, false, 2])
    })

    it('are the same for the two adapters with a cache, and for every process', async () => {
      const keyPrefix = freshPrefix()
      const state = new MySQLAdapter(pool, { keyPrefix })
      const cache = cacheOf(keyPrefix)
      await state.set('rate', 1.08)
      expect(await cache.get('rate')).toBe(1.08)
      await cache.set('rate', 1.09)
      expect([await state.get('rate'), await state.cache.get('rate')]).toEqual([1.09, 1.09])
      await state.delete('rate')
      expect(await cache.has('rate')).toBe(false)
      await cache.set('rate', 1.1)
      expect(await state.keys()).toEqual(['rate'])
      await state.clear()
      expect(await cache.keys()).toEqual([])
    })
  })

  describe('values that JSON cannot hold', () => {
    const cycle: Record<string, unknown> = { secret }
    cycle.self = cycle
    it.each<[string, unknown]>([
      ['undefined', undefined],
      ['a function', () => secret],
      ['a symbol', Symbol(secret)],
      ['a BigInt', [secret, 4711n]],
      ['NaN', { secret, amount: Number.NaN }],
      ['an infinity', { secret, amount: Number.POSITIVE_INFINITY }],
      ['a cycle', cycle],
      ['a Map', { secret, map: new Map([[secret, secret]]) }],
      ['a Set', { secret, set: new Set([secret]) }],
      ['undefined inside an array', [secret, undefined]],
      ['a function inside an object', { secret, act: () => secret }],
      ['an invalid Date', { secret, at: new Date(Number.NaN) }],
      ['an object whose JSON form is undefined', { secret, toJSON: () => undefined }],
    ])('are refused before any SQL: %s', async (_name, value) => {
      const cache = cacheOf()
      await cache.set('kept', 'earlier')
      const before = sent.length
      const error: unknown = await cache.set('kept', value).catch((thrown) => thrown)
      expect(sent.length).toBe(before)
      expect(error).toBeInstanceOf(SerializationError)
      expect(inspect(error, { depth: 10 })).not.toContain(secret)
      expect(await cache.get('kept')).toBe('earlier')
    })

    it('include those that are larger than a packet, with both sizes named', async () => {
      const cache = cacheOf()
      await cache.set('kept', 'earlier')
      const [[variable]] = (await context.admin.query('select @@max_allowed_packet as size')) as unknown as [
        [{ size: number }],
      ]
      const before = sent.length
      const error: unknown = await cache.set('kept', 'x'.repeat(variable.size)).catch((thrown) => thrown)
      expect(sent.length).toBe(before)
      expect(error).toBeInstanceOf(SerializationError)
      const { message } = error as SerializationError
      expect(message).toContain(String(variable.size))
      expect(Number(/got (\d+)/.exec(message)?.[1])).toBeGreaterThan(variable.size)
      expect(message.length).toBeLessThan(300)
      expect(await cache.get('kept')).toBe('earlier')
    })

    it('are reported when somebody else put them there, without being quoted', async () => {
      const keyPrefix = freshPrefix()
      const cache = cacheOf(keyPrefix)
      await cache.set('broken', 1)
      await context.admin.query('update go_goscope_cache set value = ? where `key` = ?', [
        `{"card": ${secret}`,
        `${keyPrefix}cache:broken`,
      ])
      const error: unknown = await cache.get('broken').catch((thrown) => thrown)
      expect(error).toBeInstanceOf(SerializationError)
      expect(inspect(error, { depth: 10 })).not.toContain(secret)
    })
  })

  describe('the time to live', () => {
    it('may be less than a second', async () => {
      const cache = cacheOf()
      await cache.set('lasting', 1, 60_000)
      const begun = performance.now()
      await cache.set('short', 1, 400)
      while (await cache.has('short')) expect(performance.now() - begun).toBeLessThan(20_000)
      expect(performance.now() - begun).toBeGreaterThan(390)
      expect(await cache.get('short')).toBeNull()
      expect(await cache.keys()).toEqual(['lasting'])
      expect(await cache.get('lasting')).toBe(1)
    })

    it('runs by the database’s clock, wherever this process’s clock stands', async () => {
      const keyPrefix = freshPrefix()
      const cache = cacheOf(keyPrefix)
      const shift = (milliseconds: number) =>
        context.admin.query(
          'update go_goscope_cache set expires_at = expires_at + interval ? * 1000 microsecond where `key` = ?',
          [milliseconds, `${keyPrefix}cache:value`],
        )
      try {
        for (const wrong of ['1990-01-01', '2090-01-01']) {
          vi.useFakeTimers({ toFake: ['Date'], now: new Date(wrong) })
          await cache.set('value', wrong, 60_000)
          expect(await cache.get('value')).toBe(wrong)
          await shift(-59_000)
          await cache.set('other', wrong)
          await shift(-1_000)
          expect([await cache.get('value'), await cache.has('value'), await cache.keys()]).toEqual([
            null,
            false,
            ['other'],
          ])
          await shift(60_000)
          expect([await cache.get('value'), await cache.has('value')]).toEqual([wrong, true])
        }
      } finally {
        vi.useRealTimers()
      }
    })

    it('has no end where none was given', async () => {
      const keyPrefix = freshPrefix()
      await cacheOf(keyPrefix).set('value', 1)
      const [rows] = await context.admin.query('select expires_at from go_goscope_cache where `key` = ?', [
        `${keyPrefix}cache:value`,
      ])
      expect(rows).toEqual([{ expires_at: null }])
    })

    it('begins anew, or ends, when the value is replaced', async () => {
      const keyPrefix = freshPrefix()
      const cache = cacheOf(keyPrefix)
      const remaining = async () => {
        const [rows] = await context.admin.query(
          'select timestampdiff(second, utc_timestamp(), expires_at) as seconds from go_goscope_cache where `key` = ?',
          [`${keyPrefix}cache:value`],
        )
        return (rows as { seconds: number | null }[])[0]?.seconds
      }
      await cache.set('value', 1, 5_000)
      await cache.set('value', 2, 1_000_000)
      expect(await remaining()).toBeGreaterThan(900)
      await cache.set('value', 3, 100_000)
      expect(await remaining()).toBeLessThan(101)
      await cache.set('value', 4)
      expect(await remaining()).toBeNull()
      expect(await cache.get('value')).toBe(4)
    })

    it('gives way to a new value after it has expired', async () => {
      const cache = cacheOf()
      await cache.set('value', 1, 1)
      while (await cache.has('value'));
      await cache.set('value', 2)
      expect(await cache.get('value')).toBe(2)
    })

    it('may be as long as 3,000 years, or a fraction of a millisecond', async () => {
      const cache = cacheOf()
      await cache.set('long', 1, 1e14)
      await cache.set('short', 1, 0.01)
      expect(await cache.get('long')).toBe(1)
      while (await cache.has('short'));
      expect(await cache.keys()).toEqual(['long'])
    })

    it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e15, '60000', null])(
      'is refused before any SQL when it is %s',
      async (ttl) => {
        const cache = cacheOf()
        await cache.set('value', 'earlier')
        const before = sent.length
        await expect(cache.set('value', 'later', ttl as number)).rejects.toThrow(InvalidArgumentError)
        expect(sent.length).toBe(before)
        expect(await cache.get('value')).toBe('earlier')
      },
    )
  })

  describe('keys', () => {
    const lookAlikes = [
      ...['a', 'A', 'á', 'à', 'ä', 'Á', 'ａ', 'а', 'a\u0301', 'ª'],
      ...['a ', 'a  ', ' a', 'a\t', 'a\n', 'a\0', '\0a', 'a\u00a0', 'a\u200b', 'a\ufeff'],
      ...['a\u2420', 'a \u2420', 'ss', 'ß', 'ſs', 'ẞ'],
    ]

    it('name different values however much they look alike', async () => {
      const cache = cacheOf()
      expect(new Set(lookAlikes).size).toBe(26)
      await Promise.all(lookAlikes.map((key) => cache.set(key, { of: key })))
      for (const key of lookAlikes) expect(await cache.get(key)).toEqual({ of: key })
      expect(await cache.keys()).toEqual(inOrder(lookAlikes))
      for (const key of lookAlikes) {
        await cache.delete(key)
        expect(await cache.has(key)).toBe(false)
      }
    })

    it('belong to one prefix', async () => {
      const keyPrefix = freshPrefix()
      const own = cacheOf(keyPrefix)
      const others = [
        keyPrefix.slice(0, -1),
        `${keyPrefix} `,
        `${keyPrefix}a`,
        `${keyPrefix}%`,
        `${keyPrefix}cache:`,
        keyPrefix.toUpperCase(),
      ].map((prefix) => cacheOf(prefix))
      await own.set('k', 'own')
      for (const [index, other] of others.entries()) {
        expect(await other.get('k')).toBeNull()
        expect(await other.keys()).toEqual([])
        await other.set('k', index)
      }
      expect(await own.get('k')).toBe('own')
      expect(await own.keys()).toEqual(['k'])
      for (const [index, other] of others.entries()) expect(await other.get('k')).toBe(index)
    })

    it('may use up 512 characters with their prefix, and are refused before any SQL beyond', async () => {
      const cache = cacheOf('p'.repeat(256))
      const longest = '😀'.repeat(512 - 256 - 'cache:'.length)
      await cache.set(longest, 1)
      expect([await cache.get(longest), await cache.keys()]).toEqual([1, [longest]])
      const before = sent.length
      for (const call of [
        cache.set(`${longest}x`, 1),
        cache.get(`${longest}x`),
        cache.has(`${longest} `),
        cache.delete('\ud800'),
        cache.get(7 as unknown as string),
        cache.keys('\udc00*'),
      ]) {
        await expect(call).rejects.toThrow(InvalidArgumentError)
      }
      expect(sent.length).toBe(before)
    })

    it('are listed in ascending order across pages', async () => {
      const keyPrefix = freshPrefix()
      const cache = cacheOf(keyPrefix)
      await insertRows(keyPrefix, 6_000)
      const keys = await cache.keys()
      expect(keys).toHaveLength(6_000)
      expect(keys.every((key, index) => key === nameOf(index))).toBe(true)
      expect(await cache.keys('key-0??99')).toHaveLength(60)
      await cache.clear()
      expect(await cache.keys()).toEqual([])
    })

    it.each<[string, string, string[]]>([
      ['every key', '*', ['', 'a', 'b', 'user:1', 'user:10', 'user:2']],
      ['a start', 'user:*', ['user:1', 'user:10', 'user:2']],
      ['one character', 'user:?', ['user:1', 'user:2']],
      ['an end', '*1', ['user:1']],
      ['a middle', '*s*r*0', ['user:10']],
      ['no wildcard', 'a', ['a']],
      ['nothing', '', ['']],
      ['any one character', '?', ['a', 'b']],
      ['what is not there', 'user:???*', []],
    ])('can be searched by %s', async (_name, pattern, expected) => {
      const cache = cacheOf()
      for (const key of ['user:1', 'user:10', 'user:2', 'a', 'b', '']) await cache.set(key, 1)
      expect(await cache.keys(pattern)).toEqual(expected)
    })

    it.each<[string, string[]]>([
      ['50%', ['50%']],
      ['50_', ['50_']],
      ['50|*', ['50|', '50|%']],
      ['50\\*', ['50*']],
      ['50\\?', ['50?']],
      ['50\\\\', ['50\\']],
      ['50\\', ['50\\']],
      ['50\\\\*', ['50\\', '50\\%']],
      ["50'*", ["50'", "50' or 1=1 --"]],
      ['50"', ['50"']],
      ['50?', ['50"', '50%', "50'", '50*', '50?', '50\\', '50_', '50`', '50|', '50😀']],
      ['50? ', ['50  ']],
      ['50  ', ['50  ']],
    ])('are matched literally but for wildcards: %j', async (pattern, expected) => {
      const cache = cacheOf()
      const keys = ['50%', '50_', '50|', '50|%', '50*', '50?', '50\\', '50\\%', "50'", "50' or 1=1 --", '50"', '50`']
      await Promise.all([...keys, '50😀', '50  '].map((key) => cache.set(key, 1)))
      expect(await cache.keys(pattern)).toEqual(expected)
    })

    it('are found by any pattern as a plain matcher finds them', async () => {
      const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
      const corpus = [...new Set(fc.sample(keyText, { seed, numRuns: 200 }))]
      const cache = cacheOf(`${freshPrefix()}|%_\\`)
      await Promise.all(corpus.map((key) => cache.set(key, 1)))
      const literal = (key: string) => key.replace(/[*?\\]/g, '\\$&')
      // Patterns that are close to a key find something, unlike most others.
      const near = fc
        .tuple(fc.constantFrom(...corpus), fc.nat(6), fc.nat(6), fc.constantFrom('*', '?', '**', '?*', ''))
        .map(([key, from, length, wildcard]) => {
          const parts = [...key]
          return literal(parts.slice(0, from).join('')) + wildcard + literal(parts.slice(from + length).join(''))
        })
      await fc.assert(
        fc.asyncProperty(fc.oneof(near, keyText), async (pattern) => {
          expect(await cache.keys(pattern)).toEqual(inOrder(corpus.filter((key) => matches(pattern, key))))
        }),
        { seed, numRuns: 250 },
      )
      await cache.clear()
      expect(await cache.keys()).toEqual([])
    })

    it.each(['\u0001', '\0', ' ', '\u{10ffff}', '😀'])(
      'are listed and cleared under the prefix %j',
      async (character) => {
        const cache = cacheOf(character)
        const keys = [...characters, '']
        await Promise.all(keys.map((key) => cache.set(key, 1)))
        expect(await cache.keys()).toEqual(inOrder(keys))
        await cache.clear()
        expect(await cache.keys()).toEqual([])
        for (const key of keys) expect(await cache.has(key)).toBe(false)
      },
    )

    it('are searched as a range of the primary key that begins with what is literal', async () => {
      await insertRows(freshPrefix(), 2_000)
      const cache = cacheOf()
      for (const key of ['user:1', 'user:2', 'order:1']) await cache.set(key, 1)
      await context.admin.query('analyze table go_goscope_cache')
      for (const pattern of ['*', 'user:*', 'user:?', 'user:1', '*:1']) {
        await cache.keys(pattern)
        const plan = await explain(context.admin, sent.at(-1))
        expect(plan).toMatchObject([{ type: 'range', key: 'PRIMARY' }])
        expect(plan[0]?.Extra ?? '').not.toMatch(/filesort|temporary/)
      }
    })
  })

  describe('clear', () => {
    it('removes 3,000 values', async () => {
      const keyPrefix = freshPrefix()
      const cache = cacheOf(keyPrefix)
      await insertRows(keyPrefix, 3_000)
      await cache.set('expired', 1, 0.01)
      await cache.clear()
      const [rows] = await context.admin.query(
        'select count(*) as rows_left from go_goscope_cache where `key` like ?',
        [`${keyPrefix}%`],
      )
      expect(rows).toEqual([{ rows_left: 0 }])
    })

    it('removes what it removes under its own prefix only', async () => {
      const others = ['a%', 'a_', 'ab', 'A', 'a ', 'a\\', 'acache:', '', '%', 'a:'].map((prefix) => cacheOf(prefix))
      const own = cacheOf('a')
      for (const cache of [own, ...others]) await Promise.all(['k', '%', '', 'cache:'].map((key) => cache.set(key, 1)))
      await own.clear()
      expect(await own.keys()).toEqual([])
      for (const other of others) expect(await other.keys()).toEqual(['', '%', 'cache:', 'k'])
    })

    it('leaves locks, circuits, checkpoints and idempotency records alone', async () => {
      const keyPrefix = freshPrefix()
      const state = new MySQLAdapter(pool, { keyPrefix })
      const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix })
      await state.set('k', 1)
      await idempotency.set('k', 'outcome')
      await state.save({ id: 'k', taskId: 'k', sequence: 1, timestamp: 1, progress: 1, data: 1 })
      await state.recordFailure('k', 3)
      const lock = await state.acquire('k', 60_000)
      await state.clear()
      expect(await state.get('k')).toBeNull()
      expect(await idempotency.get('k')).toEqual({ value: 'outcome' })
      expect(await state.load('k')).toMatchObject({ taskId: 'k' })
      expect(await state.getState('k')).toMatchObject({ failureCount: 1 })
      expect(await lock?.isValid()).toBe(true)
    })
  })
})

/** By code point: UTF-8 keeps that order, UTF-16 does not. */
function inOrder(keys: readonly string[]): string[] {
  return [...keys].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
}

type Token = { readonly wildcard: '*' | '?' } | { readonly literal: string }

/** Whether a key matches a pattern, by the documented rules and without LIKE or regular expressions. */
function matches(pattern: string, key: string): boolean {
  const tokens: Token[] = []
  const parts = [...pattern]
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] ?? ''
    const next = parts[index + 1]
    if (part === '*' || part === '?') tokens.push({ wildcard: part })
    else if (part === '\\' && (next === '*' || next === '?' || next === '\\')) {
      tokens.push({ literal: next })
      index++
    } else tokens.push({ literal: part })
  }
  // The places of the key that the tokens so far may have led to.
  const text = [...key]
  let places = new Set([0])
  for (const token of tokens) {
    const reached = new Set<number>()
    for (const place of places) {
      if ('literal' in token) {
        if (text[place] === token.literal) reached.add(place + 1)
      } else if (token.wildcard === '?') {
        if (place < text.length) reached.add(place + 1)
      } else {
        for (let later = place; later <= text.length; later++) reached.add(later)
      }
    }
    places = reached
  }
  return places.has(text.length)
}
