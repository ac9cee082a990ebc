import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { drizzle } from 'drizzle-orm/mysql2'
import { ContentionError, InvalidArgumentError, LockLostError, MySQLAdapter } from 'goscope-mysql'
import { describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { countStatements } from '../support/statements.js'

onEveryServer('leases', (context) => {
  describe('withLock', () => {
    it('keeps a lock alive over several of its ttls, and frees it in the end', async () => {
      const state = await context.adapter()
      const result = await state.locks.withLock('kept', { ttl: 300 }, async (lease) => {
        await sleep(1_000)
        expect(lease.signal.aborted).toBe(false)
        expect(await lease.isValid()).toBe(true)
        expect(await state.acquire('kept', 1_000)).toBeNull()
        return 'done'
      })
      expect(result).toBe('done')
      expect(await state.acquire('kept', 1_000)).not.toBeNull()
    })

    it('throws what the work throws, and frees the lock', async () => {
      const state = await context.adapter()
      const failing = state.locks.withLock('failing', {}, async () => {
        throw new TypeError('no')
      })
      await expect(failing).rejects.toThrow(TypeError)
      expect(await state.locks.inspect('failing')).toBeNull()
    })

    it('gives up after the time to wait, with an error that invites to try again', async () => {
      const state = await context.adapter()
      await state.acquire('busy', 60_000)
      const begin = performance.now()
      const error = await state.locks.withLock('busy', { wait: 300 }, async () => {}).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(ContentionError)
      expect(error).toMatchObject({ retryable: true })
      expect(performance.now() - begin).toBeGreaterThanOrEqual(290)
    })

    it('takes over soon after the holder has expired', async () => {
      const state = await context.adapter()
      await state.acquire('expiring', 500)
      const begin = performance.now()
      await state.locks.withLock('expiring', { wait: 20_000 }, async () => {})
      expect(performance.now() - begin).toBeGreaterThanOrEqual(480)
      expect(performance.now() - begin).toBeLessThan(5_000)
    })

    it('does not hammer the database while it waits', async () => {
      const state = await context.adapter()
      await state.acquire('patient', 60_000)
      const pool = context.pool({ connectionLimit: 1 })
      const waiter = new MySQLAdapter(pool)
      const wait = () => waiter.locks.withLock('patient', { wait: 1_000 }, async () => {}).catch(() => {})
      await wait()
      expect(await countStatements(pool, wait)).toBeLessThan(20)
    })

    it('stops waiting with the reason of the caller’s signal', async () => {
      const state = await context.adapter()
      await state.acquire('cancelled', 60_000)
      const controller = new AbortController()
      const waiting = state.locks.withLock('cancelled', { signal: controller.signal }, async () => {})
      setTimeout(() => controller.abort(new RangeError('enough')), 100)
      await expect(waiting).rejects.toThrow(new RangeError('enough'))
    })

    it('leaves nothing on a signal that outlives it', async () => {
      const state = await context.adapter()
      const { signal } = new AbortController()
      await state.acquire('signalled', 150)
      await state.locks.withLock('signalled', { signal }, async () => {})
      await state.acquire('signalled', 60_000)
      await expect(state.locks.lease('signalled', { signal, wait: 30 })).rejects.toBeInstanceOf(ContentionError)
      expect(getEventListeners(signal, 'abort')).toEqual([])
    })
  })

  describe('a lost lease', () => {
    it('aborts its signal when the lock is taken away, and is not revived', async () => {
      const state = await context.adapter()
      await using lease = await state.locks.lease('taken', { ttl: 300 })
      await state.forceRelease('taken')
      await aborted(lease.signal)
      expect(lease.signal.reason).toBeInstanceOf(LockLostError)
      expect(lease.signal.reason).toMatchObject({ reason: 'stolen' })
      expect(lease.remaining).toBe(0)
      expect(await state.acquire('taken', 1_000)).not.toBeNull()
    })

    it('aborts its signal when it expires without renewal', async () => {
      const state = await context.adapter()
      await using lease = await state.locks.lease('expired', { ttl: 200, renew: false })
      await aborted(lease.signal)
      expect(lease.signal.reason).toMatchObject({ reason: 'expired' })
      // This process stops counting on the lock a little before the database lets it go.
      await sleep(50)
      expect(await lease.isValid()).toBe(false)
    })
  })

  describe('acquireMany', () => {
    it('takes all or none, in the order of the keys', async () => {
      const state = await context.adapter({ keyPrefix: 'many:' })
      const locks = await state.locks.acquireMany(['c', 'a', 'b'], 60_000)
      expect(locks?.map(({ key }) => key)).toEqual(['c', 'a', 'b'])
      expect(await state.locks.acquireMany(['x', 'b', 'y'], 60_000)).toBeNull()
      expect(await state.locks.list()).toMatchObject([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
      await expect(state.locks.acquireMany(['a', 'a'], 60_000)).rejects.toBeInstanceOf(InvalidArgumentError)
      await Promise.all(locks?.map((lock) => lock.release()) ?? [])
    })

    it('never blocks two callers against each other', async () => {
      const states = await Promise.all([context.adapter(), context.adapter()])
      for (let round = 0; round < 20; round++) {
        const [one, other] = await Promise.all([
          states[0]?.locks.acquireMany(['p', 'q', 'r'], 60_000),
          states[1]?.locks.acquireMany(['r', 'q', 'p'], 60_000),
        ])
        expect([one, other].filter((locks) => locks !== null).length).toBeLessThan(2)
        for (const locks of [one, other]) await Promise.all(locks?.map((lock) => lock.release()) ?? [])
      }
    })
  })

  it('are shown with owner, token and times', async () => {
    const state = await context.adapter()
    expect(await state.locks.inspect('shown')).toBeNull()
    const lock = await state.acquire('shown', 60_000, 'me ')
    const shown = await state.locks.inspect('shown')
    expect(shown).toMatchObject({ key: 'shown', owner: 'me ', fence: lock?.fence })
    expect((shown?.expiresAt ?? 0) - (shown?.acquiredAt ?? 0)).toBeGreaterThanOrEqual(59_990)
    expect(shown?.remaining).toBeGreaterThan(50_000)
    expect(await state.locks.list({ prefix: 'show' })).toHaveLength(1)
    expect(await state.locks.list({ prefix: 'show%' })).toEqual([])
  })

  describe('assertHeld', () => {
    const levels = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const

    it.each(levels)('keeps others out until the transaction ends, even past expiry, at %s', async (isolationLevel) => {
      const state = await context.adapter()
      const database = drizzle(context.pool())
      await database.transaction(
        async (tx) => {
          // Asserted as soon as it is taken, so that a busy machine does not let it expire before.
          const lock = await state.acquire(isolationLevel, 400)
          await lock?.assertHeld(tx)
          await sleep(450)
          const begin = performance.now()
          expect(await state.acquire(isolationLevel, 1_000)).toBeNull()
          expect(await lock?.isValid()).toBe(false)
          expect(await state.acquire(`another ${isolationLevel}`, 1_000)).not.toBeNull()
          expect(performance.now() - begin).toBeLessThan(5_000)
        },
        { isolationLevel },
      )
      expect(await state.acquire(isolationLevel, 1_000)).not.toBeNull()
    })

    it('refuses the transaction of a holder that was overtaken', async () => {
      const state = await context.adapter()
      const pool = context.pool()
      await pool.query('create table if not exists ledger (entry varchar(20) not null)')
      const late = await state.acquire('overtaken', 50)
      await sleep(100)
      const successor = await state.acquire('overtaken', 60_000)
      const attempt = drizzle(pool).transaction(async (tx) => {
        await tx.execute("insert into ledger values ('late')")
        await late?.assertHeld(tx)
      })
      await expect(attempt).rejects.toBeInstanceOf(LockLostError)
      await drizzle(pool).transaction(async (tx) => {
        await successor?.assertHeld(tx)
        await tx.execute("insert into ledger values ('successor')")
      })
      expect((await pool.query('select entry from ledger'))[0]).toEqual([{ entry: 'successor' }])
    })

    it('costs one round trip in a Drizzle transaction, and two on a bare connection', async () => {
      const state = await context.adapter()
      const lock = await state.acquire('counted', 60_000)
      const connection = await context.pool().getConnection()
      await drizzle(connection).transaction(async (tx) => {
        await lock?.assertHeld(tx)
        expect(await countStatements(connection, async () => lock?.assertHeld(tx))).toBe(1)
        expect(await countStatements(connection, async () => lock?.assertHeld(connection))).toBe(2)
      })
      connection.release()
    })

    it('works on a mysql2 connection with a transaction, and refuses one without', async () => {
      const state = await context.adapter()
      const lock = await state.acquire('bare', 60_000)
      const connection = await context.pool().getConnection()
      await expect(lock?.assertHeld(connection)).rejects.toBeInstanceOf(InvalidArgumentError)
      await connection.beginTransaction()
      await lock?.assertHeld(connection)
      expect(await state.acquire('bare', 1_000, 'other')).toBeNull()
      await connection.commit()
      connection.release()
      await expect(lock?.assertHeld(drizzle(context.pool()) as never)).rejects.toBeInstanceOf(InvalidArgumentError)
    })
  })
})

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}
