import { BentoCache, bentostore } from 'bentocache'
import { kyselyDriver } from 'bentocache/drivers/kysely'
import { type Contender, type ContenderKind, expect, expectProduct } from './contender.js'
import { openKysely } from './kysely.js'
import { allKeys, forAll, keyOf, productOf, TTL } from './load.js'

/** Bentocache with its Kysely driver and no other layer, at its defaults. */
export const bentocache: ContenderKind = {
  name: 'bentocache',
  async setUp(url) {
    const { cache, close } = open(url, 8)
    // Without a time to live, with which the server refuses to store them.
    await forAll(allKeys, (key) => cache.setForever({ key, value: productOf(key) }))
    await close()
  },
  async open(url, callers) {
    const { cache, close } = open(url, callers)
    return { works: worksWith(cache, callers), close }
  },
}

function open(url: string, callers: number) {
  const connection = openKysely(url, callers)
  const store = bentostore().useL2Layer(kyselyDriver({ connection }))
  const cache = new BentoCache({ default: 'mysql', stores: { mysql: store } })
  return { cache, close: () => cache.disconnectAll() }
}

function worksWith(cache: ReturnType<typeof open>['cache'], callers: number): Contender['works'] {
  const set = async (key: string) => expect(await cache.set({ key, value: productOf(key), ttl: TTL }), 'success')
  return {
    get: { run: async (turn) => expectProduct(keyOf(turn), await cache.get({ key: keyOf(turn) })) },
    has: { run: async (turn) => expect(await cache.has({ key: keyOf(turn) }), 'a value') },
    'set new': { run: (turn) => set(`new-${callers}-${turn}`) },
    set: { run: (turn) => set(keyOf(turn)) },
    getOrSet: {
      run: async (turn) =>
        expectProduct(keyOf(turn), await cache.getOrSet({ key: keyOf(turn), factory: () => null, ttl: TTL })),
    },
  }
}
