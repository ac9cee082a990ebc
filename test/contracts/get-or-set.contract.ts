import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ContentionError, MySQLAdapter } from 'goscope-mysql'
import { describe, expect, it, vi } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { countStatements } from '../support/statements.js'

onEveryServer('many values, and values made on demand', (context) => {
  it('reads, writes and removes many keys in few statements', async () => {
    const pool = context.pool({ connectionLimit: 1 })
    const { cache } = new MySQLAdapter(pool, { keyPrefix: 'many:' })
    await context.adapter()
    const entries = Array.from({ length: 300 }, (_, index): [string, number] => [`key ${index}`, index])
    await cache.setMany(entries, 60_000)
    await cache.setMany([
      ['key 0', -1],
      ['key 0', -2],
    ])
    expect(await cache.getMany(['key 0', 'key 299', 'key 300', 'key 0'])).toEqual(
      new Map([
        ['key 0', -2],
        ['key 299', 299],
      ]),
    )
    await cache.deleteMany(entries.slice(0, 299).map(([key]) => key))
    expect(await cache.keys()).toEqual(['key 299'])
    expect(await cache.getMany([])).toEqual(new Map())
    const read = () => cache.getMany(entries.map(([key]) => key))
    await cache.setMany(entries)
    await read()
    expect(await countStatements(pool, () => cache.setMany(entries))).toBeLessThanOrEqual(10)
    expect(await countStatements(pool, read)).toBe(2)
  })

  it('writes overlapping keys from several pools without an error', async () => {
    const states = await Promise.all(Array.from({ length: 4 }, () => context.adapter({ keyPrefix: 'overlap:' })))
    const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`)
    await Promise.all(
      states.flatMap(({ cache }, value) =>
        Array.from({ length: 5 }, (_, round) => {
          const rotated = [...keys.slice(round * 37), ...keys.slice(0, round * 37)]
          return cache.setMany(rotated.map((key): [string, number] => [key, value]))
        }),
      ),
    )
    expect((await states[0]?.cache.getMany<number>(keys))?.size).toBe(200)
  })

  it('adds a value once, and again when it has expired', async () => {
    const state = await context.adapter()
    const added = await Promise.all(Array.from({ length: 50 }, (_, value) => state.cache.add('added', value, 60_000)))
    expect(added.filter((isAdded) => isAdded)).toHaveLength(1)
    expect(await state.get('added')).toBe(added.indexOf(true))
    await state.set('gone', 'old', 30)
    await sleep(60)
    expect(await state.cache.add('gone', 'new')).toBe(true)
    expect(await state.get('gone')).toBe('new')
  })

  it('gives a value a new time to live', async () => {
    const { cache } = await context.adapter()
    await cache.set('touched', 1, 300)
    expect(await cache.touch('touched', 60_000)).toBe(true)
    await sleep(400)
    expect(await cache.get('touched')).toBe(1)
    expect(await cache.touch('untouched', 1_000)).toBe(false)
  })

  it('tells what it did, and prunes only what has expired under its prefix', async () => {
    const { cache } = await context.adapter({ keyPrefix: 'pruned:' })
    const other = await context.adapter({ keyPrefix: 'kept:' })
    await cache.set('stays', 1)
    for (const key of ['a', 'b', 'c']) await cache.set(key, 1, 20)
    await other.set('a', 1, 20)
    await sleep(60)
    await cache.get('stays')
    await cache.get('a')
    expect(await cache.stats()).toEqual({ hits: 1, misses: 1, hitRatio: 0.5, size: 1 })
    expect(await cache.prune()).toBe(3)
    expect(await cache.prune()).toBe(0)
    expect(await other.cache.prune()).toBe(1)
  })

  it('iterates in the order of the table without holding a connection', async () => {
    const { cache } = await context.adapter({ keyPrefix: 'walk:' }, { connectionLimit: 1 })
    await cache.setMany(Array.from({ length: 250 }, (_, index): [string, number] => [`k${1000 + index}`, index]))
    const seen: number[] = []
    for await (const [key, value] of cache.entries<number>('k*')) {
      seen.push(value)
      // Would wait for ever if the iteration kept the only connection.
      if (value % 100 === 0) await cache.has(key)
    }
    expect(seen).toEqual(Array.from({ length: 250 }, (_, index) => index))
    const keys: string[] = []
    for await (const key of cache.scan('k120?')) keys.push(key)
    expect(keys).toHaveLength(10)
  })

  describe('getOrSet', () => {
    it('makes a value once for all callers of several adapters, and gives each a copy', async () => {
      const states = await Promise.all([context.adapter(), context.adapter(), context.adapter()])
      let runs = 0
      const make = async () => {
        runs++
        await sleep(150)
        return { made: runs }
      }
      const values = await Promise.all(
        states.flatMap(({ cache }) => Array.from({ length: 30 }, () => cache.getOrSet('slow', make, { ttl: 60_000 }))),
      )
      expect(runs).toBe(1)
      expect(new Set(values.map(({ made }) => made))).toEqual(new Set([1]))
      expect(new Set(values).size).toBe(values.length)
    })

    it('serves a stale value at once while one caller makes a new one', async () => {
      const states = await Promise.all([context.adapter(), context.adapter()])
      let runs = 0
      const make = async () => {
        runs++
        if (runs > 1) await sleep(400)
        return runs
      }
      const options = { ttl: 200, stale: 60_000 }
      await states[0].cache.getOrSet('stale', make, options)
      await sleep(300)
      const begin = performance.now()
      const values = await Promise.all(
        states.flatMap(({ cache }) => Array.from({ length: 20 }, () => cache.getOrSet('stale', make, options))),
      )
      expect(performance.now() - begin).toBeLessThan(390)
      expect(new Set(values)).toEqual(new Set([1]))
      await expect.poll(() => states[0].get('stale'), { timeout: 10_000 }).toBe(2)
      expect(runs).toBe(2)
    })

    it('lets a factory’s error reach all who wait, and stores nothing', async () => {
      const { cache } = await context.adapter()
      let runs = 0
      const fail = async () => {
        runs++
        await sleep(50)
        throw new TypeError('no')
      }
      const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => cache.getOrSet('failing', fail)))
      expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
      expect(runs).toBe(1)
      expect(await cache.getOrSet('failing', () => 'well')).toBe('well')
      await cache.getOrSet('negative', fail, { negativeTtl: 60_000 }).catch(() => {})
      await expect(cache.getOrSet('negative', () => 'well')).rejects.toThrow(TypeError)
    })

    it('waits for another process no longer than it was told, and stops with the caller’s reason', async () => {
      const [one, other] = await Promise.all([context.adapter(), context.adapter()])
      const making = one.cache.getOrSet('long', () => sleep(1_000, 'made'))
      await sleep(100)
      await expect(other.cache.getOrSet('long', () => 'twice', { wait: 200 })).rejects.toBeInstanceOf(ContentionError)
      const signal = AbortSignal.timeout(100)
      expect(await other.cache.getOrSet('long', () => 'twice', { signal }).catch((thrown: unknown) => thrown)).toBe(
        signal.reason,
      )
      expect(await making).toBe('made')
      expect(await other.cache.getOrSet('long', () => 'twice')).toBe('made')
    })

    it('answers with a remembered error only while there is no value', async () => {
      const pool = context.pool({ connectionLimit: 1 })
      const { cache } = new MySQLAdapter(pool)
      const other = await context.adapter()
      const fail = vi.fn(() => Promise.reject(new TypeError('no')))
      const make = vi.fn(() => 'made')
      const ask = () => cache.getOrSet('remembered', make, { negativeTtl: 60_000 }).catch((error) => error.name)
      await expect(cache.getOrSet('remembered', fail, { negativeTtl: 60_000 })).rejects.toThrow(TypeError)
      expect(await countStatements(pool, async () => expect(await ask()).toBe('TypeError'))).toBe(1)
      await other.set('remembered', 'set by another process')
      expect(await countStatements(pool, async () => expect(await ask()).toBe('set by another process'))).toBe(1)
      expect(fail).toHaveBeenCalledOnce()
      expect(make).not.toHaveBeenCalled()
      // A value that came after the error refutes it.
      await other.delete('remembered')
      expect(await ask()).toBe('made')
    })

    it('serves a stale value although refreshing it failed, and lets the factory rest', async () => {
      const { cache } = await context.adapter()
      const options = { ttl: 30, stale: 60_000, negativeTtl: 60_000 }
      await cache.getOrSet('resting', () => 'old', options)
      await sleep(80)
      const fail = vi.fn(() => Promise.reject(new TypeError('no')))
      const onRefreshError = vi.fn()
      const ask = () => cache.getOrSet('resting', fail, { ...options, onRefreshError })
      expect(await ask()).toBe('old')
      await expect.poll(() => onRefreshError).toHaveBeenCalledOnce()
      for (let round = 0; round < 5; round++) {
        expect(await ask()).toBe('old')
        await sleep(10)
      }
      expect(fail).toHaveBeenCalledOnce()
      expect(onRefreshError).toHaveBeenCalledOnce()
    })

    it('remembers an error for as long as it was told, however long', async () => {
      const { cache } = await context.adapter()
      const fail = () => Promise.reject(new TypeError('no'))
      for (const [key, negativeTtl] of Object.entries({ 'for a moment': 500, 'for weeks': 2 ** 31 + 1 })) {
        await expect(cache.getOrSet(key, fail, { negativeTtl })).rejects.toThrow(TypeError)
        await expect(cache.getOrSet(key, () => 'well')).rejects.toThrow(TypeError)
      }
      const ask = () => cache.getOrSet('for a moment', () => 'well').catch((error) => error.name)
      await expect.poll(ask, { timeout: 10_000 }).toBe('well')
      await expect(cache.getOrSet('for weeks', () => 'well')).rejects.toThrow(TypeError)
    })

    it('leaves nothing on a signal that outlives the call', async () => {
      const [one, other] = await Promise.all([context.adapter(), context.adapter()])
      const { signal } = new AbortController()
      const fail = () => Promise.reject(new TypeError('no'))
      for (let round = 0; round < 3; round++) {
        expect(await one.cache.getOrSet('signalled', () => 'made', { signal })).toBe('made')
        await one.cache.getOrSet('signalled in vain', fail, { signal }).catch(() => {})
      }
      const making = one.cache.getOrSet('signalled late', () => sleep(300, 'made'), { signal })
      await Promise.all([making, other.cache.getOrSet('signalled late', () => 'twice', { signal })])
      expect(getEventListeners(signal, 'abort')).toEqual([])
    })

    it('costs one round trip for a hit and four for the caller that makes the value', async () => {
      const pool = context.pool({ connectionLimit: 1 })
      const { cache } = new MySQLAdapter(pool)
      await context.adapter()
      await cache.getOrSet('warm', () => 1)
      expect(await countStatements(pool, () => cache.getOrSet('cold', () => 1))).toBe(4)
      expect(await countStatements(pool, () => cache.getOrSet('cold', () => 1))).toBe(1)
    })
  })
})
