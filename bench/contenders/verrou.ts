import { Verrou } from '@verrou/core'
import { kyselyStore } from '@verrou/core/drivers/kysely'
import { type Contender, type ContenderKind, expect } from './contender.js'
import { openKysely } from './kysely.js'
import { HOT_TTL, insist, KEYS, keyOf, TTL, turnsFrom } from './load.js'

/** Verrou with its Kysely store, at its defaults. */
export const verrou: ContenderKind = {
  name: 'verrou',
  async setUp(url) {
    const { works, close } = await verrou.open(url, 1)
    await works['acquire + release']?.run(0)
    await close()
  },
  async open(url, callers) {
    const connection = openKysely(url, callers)
    const locks = new Verrou({ default: 'mysql', stores: { mysql: { driver: kyselyStore({ connection }) } } })
    return { works: worksWith(locks, callers), close: () => connection.destroy() }
  },
}

type Lock = ReturnType<Verrou<never>['createLock']>

function worksWith(locks: { createLock(key: string, ttl: number): Lock }, callers: number): Contender['works'] {
  const acquire = async (key: string) => {
    const lock = locks.createLock(key, TTL)
    expect(await lock.acquireImmediately(), 'the lock')
    return lock
  }
  const held = new Map<number, Lock>()
  const holding = (use: (lock: Lock) => Promise<unknown>) => ({
    limit: KEYS,
    prepare: async (first: number, count: number) => {
      for (const turn of turnsFrom(first, count)) {
        const lock = locks.createLock(keyOf(turn), TTL)
        await lock.forceRelease()
        await lock.acquireImmediately()
        held.set(turn, lock)
      }
    },
    run: (turn: number) => use(held.get(turn) as Lock),
  })
  let holders = 0
  return {
    'acquire new': { run: (turn) => acquire(`new-${callers}-${turn}`) },
    'acquire held': {
      prepare: async () => {
        await locks.createLock('held', TTL).acquireImmediately()
      },
      run: async () => expect(!(await locks.createLock('held', TTL).acquireImmediately()), 'a refusal'),
    },
    'acquire + release': { run: async (turn) => (await acquire(`free-${keyOf(turn)}`)).release() },
    'hot lock': {
      async run() {
        const lock = locks.createLock('hot', HOT_TTL)
        await insist(async () => (await lock.acquireImmediately()) || null)
        holders++
        await new Promise(setImmediate)
        const alone = holders-- === 1
        await lock.release()
        expect(alone, 'one holder at a time')
      },
    },
    release: holding((lock) => lock.release()),
    extend: holding((lock) => lock.extend(TTL)),
    isValid: holding(async (lock) => expect(await lock.isLocked(), 'a held lock')),
  }
}
