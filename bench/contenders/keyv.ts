import KeyvMysql from '@keyv/mysql'
import Keyv from 'keyv'
import { type Contender, type ContenderKind, expect, expectProduct } from './contender.js'
import { allKeys, BATCH, forAll, KEYS, keyOf, keysOf, productOf, TTL, turnsFrom } from './load.js'

/** Keyv with its MySQL store, at its defaults; it opens a pool of its own. */
export const keyv: ContenderKind = {
  name: 'keyv',
  async setUp(url) {
    const { cache, close } = open(url)
    await forAll(allKeys, (key) => cache.set(key, productOf(key), TTL))
    await close()
  },
  async open(url, callers) {
    const { cache, close } = open(url)
    return { works: worksWith(cache, callers), close }
  },
}

function open(url: string) {
  const cache = new Keyv({ store: new KeyvMysql(url) })
  // Otherwise an error would end the process; the call that failed is counted.
  cache.on('error', () => {})
  return { cache, close: () => cache.disconnect() }
}

function worksWith(cache: Keyv, callers: number): Contender['works'] {
  const newKey = (turn: number) => `new-${callers}-${turn}`
  const set = async (key: string) => expect(await cache.set(key, productOf(key), TTL), 'success')
  return {
    get: { run: async (turn) => expectProduct(keyOf(turn), await cache.get(keyOf(turn))) },
    has: { run: async (turn) => expect(await cache.has(keyOf(turn)), 'a value') },
    set: { run: (turn) => set(keyOf(turn)) },
    'set new': { run: (turn) => set(newKey(turn)) },
    delete: {
      limit: KEYS,
      prepare: (first, count) => forAll(turnsFrom(first, count).map(newKey), set),
      run: async (turn) => expect(await cache.delete(newKey(turn)), 'a deleted value'),
    },
    getMany: {
      run: async (turn) => {
        const values = await cache.getMany(keysOf(turn))
        expect(values.filter((value) => value !== undefined).length === BATCH, 'all values')
      },
    },
    setMany: {
      run: (turn) => cache.setMany(keysOf(turn).map((key) => ({ key, value: productOf(key), ttl: TTL }))),
    },
  }
}
