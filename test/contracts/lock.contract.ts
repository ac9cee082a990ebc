import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidArgumentError, type LockHandle, MySQLAdapter } from 'goscope-mysql'
import { beforeAll, describe, expect, it } from 'vitest'
import { onEveryServer, type ServerContext } from '../support/every-server.js'
import { lockRow, lockTimes, taken } from '../support/locks.js'
import { countStatements } from '../support/statements.js'

onEveryServer('locks', (context) => {
  // Two processes' worth of clients.
  let state: MySQLAdapter
  let other: MySQLAdapter

  beforeAll(async () => {
    state = await context.adapter()
    other = await context.adapter()
  })

  describe('acquire', () => {
    it('grants a free lock and refuses a held one', async () => {
      const lock = await taken(state.acquire('invoice', 10_000))
      expect(await other.acquire('invoice', 10_000)).toBeNull()
      expect(await state.acquire('invoice', 10_000)).toBeNull()
      await lock.release()
      expect(await other.acquire('invoice', 10_000)).not.toBeNull()
    })

    it('grants different keys at the same time', async () => {
      const locks = await Promise.all(['a', 'b', 'c'].map((key) => state.acquire(`different-${key}`, 10_000)))
      expect(locks).not.toContain(null)
    })

    it('returns a handle that tells key, owner and token', async () => {
      const lock = await taken(state.acquire('told', 10_000, 'worker-1'))
      expect(lock.key).toBe('told')
      expect(lock.owner).toBe('worker-1')
      expect(Number.isSafeInteger(lock.fence)).toBe(true)
      expect(lock.fence).toBeGreaterThan(0)
    })

    it('chooses another owner each time when none is given', async () => {
      const [first, second] = await Promise.all([
        taken(state.acquire('random-1', 10_000)),
        taken(state.acquire('random-2', 10_000)),
      ])
      expect(first.owner).not.toBe(second.owner)
      expect(first.owner.length).toBeGreaterThan(15)
    })

    it('lets the same live owner keep tenure and token, and prolongs it', async () => {
      const first = await taken(state.acquire('same', 10_000, 'worker'))
      const before = await lockTimes(context, 'same')
      const second = await taken(other.acquire('same', 60_000, 'worker'))
      const after = await lockTimes(context, 'same')
      expect(second.fence).toBe(first.fence)
      expect(after.acquiredAt).toBe(before.acquiredAt)
      expect(after.expiresAt).toBeGreaterThan(before.expiresAt + 40_000_000)
      expect(await first.isValid()).toBe(true)
      await second.release()
      expect(await first.isValid()).toBe(false)
    })

    it('lets the same live owner shorten its tenure', async () => {
      await taken(state.acquire('shortened', 60_000, 'worker'))
      const { expiresAt } = await lockTimes(context, 'shortened')
      await taken(state.acquire('shortened', 10_000, 'worker'))
      expect((await lockTimes(context, 'shortened')).expiresAt).toBeLessThan(expiresAt - 40_000_000)
    })

    it('refuses a different owner, and leaves the holder as it was', async () => {
      const lock = await taken(state.acquire('mine', 10_000, 'worker-1'))
      const before = await lockRow(context, 'mine')
      expect(await other.acquire('mine', 60_000, 'worker-2')).toBeNull()
      expect(await lockRow(context, 'mine')).toEqual(before)
      expect(await lock.isValid()).toBe(true)
    })

    it.each([
      ['case', 'worker', 'Worker'],
      ['accents', 'worker', 'wörker'],
      ['a trailing space', 'worker', 'worker '],
      ['a trailing sign for a space', 'worker ', 'worker␠'],
      ['normalisation', '\u00e9', 'e\u0301'],
    ])('tells owners apart that differ in %s', async (difference, holder, comer) => {
      const key = `owners that differ in ${difference}`
      const lock = await taken(state.acquire(key, 10_000, holder))
      expect(await other.acquire(key, 10_000, comer)).toBeNull()
      expect(await other.extend(key, 10_000, comer)).toBe(false)
      expect((await taken(other.acquire(key, 10_000, holder))).fence).toBe(lock.fence)
    })

    it('takes an owner of 255 characters of any kind', async () => {
      const owner = '🔑'.repeat(255)
      expect((await taken(state.acquire('long-owner', 10_000, owner))).owner).toBe(owner)
      expect(await state.extend('long-owner', 10_000, owner)).toBe(true)
    })

    it('holds a lock for a very long time when asked to', async () => {
      const lock = await taken(state.acquire('for ages', 1e14))
      expect(await lock.isValid()).toBe(true)
      expect(await other.acquire('for ages', 10_000)).toBeNull()
    })

    it('uses defaultLockTTL when no ttl is given', async () => {
      const patient = await context.adapter({ defaultLockTTL: 300_000 })
      const lock = await taken(patient.acquire('default-ttl'))
      expect(lock.remaining).toBeGreaterThan(200_000)
      const { acquiredAt, expiresAt } = await lockTimes(context, 'default-ttl')
      expect((expiresAt - acquiredAt) / 1000).toBeCloseTo(300_000, -2)

      await taken(state.acquire('default-default-ttl'))
      const times = await lockTimes(context, 'default-default-ttl')
      expect((times.expiresAt - times.acquiredAt) / 1000).toBeCloseTo(30_000, -2)
    })
  })

  describe('a handle', () => {
    it('frees the lock once, however often it is released', async () => {
      const lock = await taken(state.acquire('twice', 10_000))
      await lock.release()
      await lock.release()
      const successor = await taken(other.acquire('twice', 10_000))
      await lock.release()
      expect(await successor.isValid()).toBe(true)
    })

    it('survives releases at the same time', async () => {
      const lock = await taken(state.acquire('at-once', 10_000))
      await Promise.all([lock.release(), lock.release(), lock.release()])
      expect(await other.acquire('at-once', 10_000)).not.toBeNull()
    })

    it('extends its tenure and keeps the token', async () => {
      const lock = await taken(state.acquire('extended', 10_000))
      const before = await lockTimes(context, 'extended')
      expect(await lock.extend(60_000)).toBe(true)
      const after = await lockTimes(context, 'extended')
      expect(after.expiresAt).toBeGreaterThan(before.expiresAt + 40_000_000)
      expect(after.acquiredAt).toBe(before.acquiredAt)
      expect(Number((await lockRow(context, 'extended')).fence)).toBe(lock.fence)
      expect(lock.remaining).toBeGreaterThan(50_000)
      expect(await lock.isValid()).toBe(true)
    })

    it('keeps a lock alive beyond its first ttl', async () => {
      const lock = await taken(state.acquire('kept alive', 400))
      expect(await lock.extend(10_000)).toBe(true)
      await sleep(500)
      expect(await lock.isValid()).toBe(true)
      expect(await other.acquire('kept alive', 10_000)).toBeNull()
    })

    it('can neither extend nor revalidate after its release', async () => {
      const lock = await taken(state.acquire('released', 10_000))
      await lock.release()
      expect(lock.remaining).toBe(0)
      expect(await lock.extend(10_000)).toBe(false)
      expect(await lock.isValid()).toBe(false)
      expect(await other.acquire('released', 10_000)).not.toBeNull()
    })

    it('cannot extend after expiry, even if nobody took over', async () => {
      const lock = await taken(state.acquire('expired', 50, 'worker'))
      await sleep(150)
      expect(await lock.extend(10_000)).toBe(false)
      expect(lock.remaining).toBe(0)
      expect(await lock.isValid()).toBe(false)
      expect(await state.extend('expired', 10_000, 'worker')).toBe(false)
      expect(await other.acquire('expired', 10_000)).not.toBeNull()
    })

    it('counts down what remains, to 0 at expiry', async () => {
      const lock = await taken(state.acquire('counted down', 5_000))
      const { remaining } = lock
      expect(remaining).toBeGreaterThan(0)
      expect(remaining).toBeLessThanOrEqual(5_000)
      await sleep(20)
      expect(lock.remaining).toBeLessThan(remaining)

      const short = await taken(state.acquire('counted down to 0', 30))
      await sleep(60)
      expect(short.remaining).toBe(0)
    })

    describe('that comes late', () => {
      it.each<[string, (context: ServerContext) => Promise<unknown>]>([
        ['expired', () => sleep(120)],
        ['was released by force', () => other.forceRelease('late: was released by force')],
        [
          'was deleted',
          () => context.admin.query('delete from go_goscope_locks where `key` = ?', ['lock:late: was deleted']),
        ],
      ])('never touches the successor of a tenure that %s', async (end, bringAbout) => {
        const key = `late: ${end}`
        const late = await taken(state.acquire(key, 60))
        await bringAbout(context)
        const successor = await taken(other.acquire(key, 10_000))
        const row = await lockRow(context, key)
        expect(await late.extend(60_000)).toBe(false)
        expect(await late.isValid()).toBe(false)
        await late.release()
        await late[Symbol.asyncDispose]()
        expect(await lockRow(context, key)).toEqual(row)
        expect(await successor.isValid()).toBe(true)
      })

      it('never touches a later tenure of the same owner', async () => {
        const late = await taken(state.acquire('same owner again', 60, 'worker'))
        await sleep(120)
        const successor = await taken(other.acquire('same owner again', 10_000, 'worker'))
        expect(successor.fence).toBeGreaterThan(late.fence)
        expect(await late.extend(60_000)).toBe(false)
        expect(await late.isValid()).toBe(false)
        await late.release()
        expect(await successor.isValid()).toBe(true)
      })
    })

    it('releases the lock at the end of an await using block', async () => {
      {
        await using lock = await taken(state.acquire('disposed', 10_000))
        expect(await lock.isValid()).toBe(true)
        expect(await other.acquire('disposed', 10_000)).toBeNull()
      }
      expect(await other.acquire('disposed', 10_000)).not.toBeNull()
    })

    it('releases the lock when the await using block throws', async () => {
      const work = async () => {
        await using _lock = await taken(state.acquire('thrown', 10_000))
        throw new Error('the work failed')
      }
      await expect(work()).rejects.toThrow('the work failed')
      expect(await other.acquire('thrown', 10_000)).not.toBeNull()
    })

    it('may be null in an await using block', async () => {
      const lock = await taken(state.acquire('null', 10_000))
      {
        await using refused = await other.acquire('null', 10_000)
        expect(refused).toBeNull()
      }
      expect(await lock.isValid()).toBe(true)
    })
  })

  describe('extend', () => {
    it('prolongs the tenure of the owner who holds the lock', async () => {
      const lock = await taken(state.acquire('by-owner', 10_000, 'worker'))
      const before = await lockTimes(context, 'by-owner')
      expect(await other.extend('by-owner', 60_000, 'worker')).toBe(true)
      expect((await lockTimes(context, 'by-owner')).expiresAt).toBeGreaterThan(before.expiresAt + 40_000_000)
      expect(await lock.isValid()).toBe(true)
    })

    it('refuses another owner, an absent lock and a released one', async () => {
      const lock = await taken(state.acquire('not-yours', 10_000, 'worker'))
      const before = await lockRow(context, 'not-yours')
      expect(await state.extend('not-yours', 60_000, 'somebody')).toBe(false)
      expect(await lockRow(context, 'not-yours')).toEqual(before)
      expect(await state.extend('never-taken', 60_000, 'worker')).toBe(false)
      await lock.release()
      expect(await state.extend('not-yours', 60_000, 'worker')).toBe(false)
    })
  })

  describe('forceRelease', () => {
    it('frees the lock, whoever holds it', async () => {
      const lock = await taken(state.acquire('forced', 10_000))
      await other.forceRelease('forced')
      expect(await lock.isValid()).toBe(false)
      expect(await lock.extend(10_000)).toBe(false)
      expect(await other.acquire('forced', 10_000)).not.toBeNull()
    })

    it('is harmless when nobody holds the lock', async () => {
      await state.forceRelease('nobody')
      const lock = await taken(state.acquire('nobody', 10_000))
      await lock.release()
      await state.forceRelease('nobody')
      expect(await state.acquire('nobody', 10_000)).not.toBeNull()
    })

    it('frees no other lock', async () => {
      const lock = await taken(state.acquire('forced-2', 10_000))
      await state.forceRelease('forced-')
      await state.forceRelease('forced-%')
      await state.forceRelease('FORCED-2')
      expect(await lock.isValid()).toBe(true)
    })
  })

  describe('while another transaction holds the row for a moment', () => {
    const held = async (key: string, work: (lock: LockHandle) => Promise<unknown>): Promise<unknown> => {
      const lock = await taken(state.acquire(key, 10_000, 'worker'))
      const connection = await context.pool().getConnection()
      await connection.beginTransaction()
      await connection.query('select * from go_goscope_locks where `key` = ? for update', [`lock:${key}`])
      const passing = sleep(400).then(() => connection.commit())
      const [outcome] = await Promise.all([work(lock), passing]).finally(() => connection.release())
      return outcome
    }

    it('releases the lock', async () => {
      await held('busy release', (lock) => lock.release())
      expect(await other.acquire('busy release', 10_000)).not.toBeNull()
    })

    it('extends the lock', async () => {
      expect(await held('busy extend', (lock) => lock.extend(10_000))).toBe(true)
      expect(await held('busy extend by owner', () => other.extend('busy extend by owner', 10_000, 'worker'))).toBe(
        true,
      )
    })

    it('releases the lock by force', async () => {
      await held('busy force', () => other.forceRelease('busy force'))
      expect(await other.acquire('busy force', 10_000)).not.toBeNull()
    })

    it('answers that the lock is held', async () => {
      expect(await held('busy acquire', () => other.acquire('busy acquire', 10_000))).toBeNull()
    })
  })

  describe('bad input', () => {
    const key = 'never sent'
    const ttls: [string, unknown][] = [
      ['NaN', Number.NaN],
      ['zero', 0],
      ['negative', -1],
      ['infinite', Number.POSITIVE_INFINITY],
      ['beyond the calendar', 1e15],
      ['a string', '1000'],
      ['a bigint', 1000n],
      ['null', null],
    ]
    const keys: [string, unknown][] = [
      ['a number', 42],
      ['null', null],
      ['undefined', undefined],
      ['an object', { toString: () => 'key' }],
      ['a character too long', 'k'.repeat(512 - 'lock:'.length + 1)],
      ['too long in emoji', '🔑'.repeat(512)],
      ['too long by the sign that guards its space', `${'k'.repeat(512 - 'lock:'.length - 1)} `],
      ['ill-formed', 'lone \ud83d surrogate'],
    ]
    const owners: [string, unknown][] = [
      ['a number', 42],
      ['null', null],
      ['a character too long', 'o'.repeat(256)],
      ['too long by the sign that guards its space', `${'o'.repeat(254)} `],
      ['ill-formed', 'lone \udd11 surrogate'],
    ]
    const calls: [string, (state: MySQLAdapter, handle: LockHandle) => Promise<unknown>][] = [
      ...ttls.flatMap(([what, ttl]): typeof calls => [
        [`acquire with a ttl that is ${what}`, (state) => state.acquire(key, ttl as number)],
        [`extend with a ttl that is ${what}`, (state) => state.extend(key, ttl as number, 'worker')],
        [`handle.extend with a ttl that is ${what}`, (_, handle) => handle.extend(ttl as number)],
      ]),
      ['handle.extend without a ttl', (_, handle) => (handle.extend as () => Promise<boolean>)()],
      ...keys.flatMap(([what, bad]): typeof calls => [
        [`acquire of a key that is ${what}`, (state) => state.acquire(bad as string, 1_000)],
        [`extend of a key that is ${what}`, (state) => state.extend(bad as string, 1_000, 'worker')],
        [`forceRelease of a key that is ${what}`, (state) => state.forceRelease(bad as string)],
      ]),
      ...owners.flatMap(([what, owner]): typeof calls => [
        [`acquire by an owner that is ${what}`, (state) => state.acquire(key, 1_000, owner as string)],
        [`extend by an owner that is ${what}`, (state) => state.extend(key, 1_000, owner as string)],
      ]),
    ]

    it('is refused before anything is sent', async () => {
      const pool = context.pool({ connectionLimit: 1 })
      const watched = new MySQLAdapter(pool)
      const handle = await taken(watched.acquire('bad input', 60_000))
      expect(await handle.isValid()).toBe(true)
      const sent = await countStatements(pool, async () => {
        for (const [name, call] of calls) {
          await expect(
            call(watched, handle).catch((error) => error),
            name,
          ).resolves.toBeInstanceOf(InvalidArgumentError)
        }
      })
      expect(sent).toBe(0)
      expect(await countStatements(pool, () => handle.isValid())).toBe(1)
    })

    it('is told from input that is just within the limits', async () => {
      const longest = 'k'.repeat(512 - 'lock:'.length)
      const emoji = '🔑'.repeat(512 - 'lock:'.length)
      const spaced = `${'k'.repeat(512 - 'lock:'.length - 2)} `
      for (const allowed of [longest, emoji, spaced, '']) {
        const lock = await taken(state.acquire(allowed, 60_000))
        expect(lock.key).toBe(allowed)
        expect(await other.acquire(allowed, 60_000)).toBeNull()
        await lock.release()
      }
      // A character less is another lock.
      await taken(state.acquire(longest, 60_000))
      await taken(state.acquire(longest.slice(1), 60_000))
    })
  })
})
