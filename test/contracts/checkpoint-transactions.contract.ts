import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { int, mysqlTable } from 'drizzle-orm/mysql-core'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import {
  type Checkpoint,
  ContentionError,
  InvalidArgumentError,
  LockLostError,
  MySQLAdapter,
  SerializationError,
} from 'goscope-mysql'
import type { Pool, PoolConnection, RowDataPacket } from 'mysql2/promise'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

const payments = mysqlTable('payments', { id: int('id').primaryKey(), amount: int('amount').notNull() })

const megabytes = (count: number) => 'ä'.repeat(count * 2 ** 19)

function checkpoint<T>(taskId: string, sequence: number, data: T): Checkpoint<T> {
  return { id: `${taskId}/${sequence}`, taskId, sequence, timestamp: 1_000 + sequence, progress: sequence, data }
}

onEveryServer('checkpoints in transactions and under leases', (context) => {
  let pool: Pool
  let database: MySql2Database
  let state: MySQLAdapter
  let names = 0

  const fresh = () => `task-${++names}`

  beforeAll(async () => {
    pool = context.pool()
    database = drizzle(pool)
    state = new MySQLAdapter(pool)
    await state.connect()
    await pool.query('create table payments (id int primary key, amount int not null) engine=InnoDB')
  })

  async function paid(id: number): Promise<boolean> {
    return (await database.select().from(payments).where(sql`id = ${id}`)).length > 0
  }

  /** The token stored with a checkpoint. */
  async function fenceOf(taskId: string, sequence: number): Promise<number> {
    const [rows] = await pool.query<RowDataPacket[]>(
      'select fence from go_goscope_checkpoints where task_id = ? and sequence = ?',
      [`task:${taskId}`, sequence],
    )
    return Number(rows[0]?.fence)
  }

  async function acquire(key: string, ttl = 20_000, adapter = state) {
    const lock = await adapter.acquire(key, ttl)
    if (lock === null) throw new Error('expected the lock to be free')
    return lock
  }

  async function connection(): Promise<PoolConnection> {
    const connection = await pool.getConnection()
    onTestFinished(async () => {
      await connection.query('rollback')
      connection.release()
    })
    return connection
  }

  describe('save in a Drizzle transaction', () => {
    it('is seen by others once the transaction commits, and not before', async () => {
      const task = fresh()
      await database.transaction(async (tx) => {
        await tx.insert(payments).values({ id: 1, amount: 5 })
        await state.save(checkpoint(task, 1, 'first'), { tx })
        expect(await state.loadLatest(task)).toBeUndefined()
      })
      expect(await state.loadLatest(task)).toMatchObject({ sequence: 1, data: 'first' })
      expect(await paid(1)).toBe(true)
    })

    it('leaves neither checkpoint nor business write after a rollback', async () => {
      const task = fresh()
      await state.save(checkpoint(task, 1, 'before'))
      const failure = new Error('the bank is closed')
      const transaction = database.transaction(async (tx) => {
        await tx.insert(payments).values({ id: 2, amount: 5 })
        await state.save(checkpoint(task, 1, 'overwritten'), { tx })
        await state.save(checkpoint(task, 2, 'added'), { tx })
        throw failure
      })
      await expect(transaction).rejects.toBe(failure)
      expect(await state.list(task)).toStrictEqual([checkpoint(task, 1, 'before')])
      expect(await paid(2)).toBe(false)
    })

    it('goes with the savepoint of a nested transaction', async () => {
      const task = fresh()
      await database.transaction(async (tx) => {
        await state.save(checkpoint(task, 1, 'outer'), { tx })
        const nested = tx.transaction(async (inner) => {
          await state.save(checkpoint(task, 2, 'inner'), { tx: inner })
          inner.rollback()
        })
        await expect(nested).rejects.toThrow()
      })
      expect((await state.list(task)).map(({ data }) => data)).toStrictEqual(['outer'])
    })

    it('refuses the id of another task, keeps the row, and lets the caller go on', async () => {
      const [task, other] = [fresh(), fresh()]
      await state.save(checkpoint(other, 1, 'theirs'))
      await database.transaction(async (tx) => {
        const stolen = { ...checkpoint(task, 1, 'mine'), id: `${other}/1` }
        await expect(state.save(stolen, { tx })).rejects.toBeInstanceOf(InvalidArgumentError)
        await state.save(checkpoint(task, 1, 'mine'), { tx })
      })
      expect(await state.load(`${other}/1`)).toStrictEqual(checkpoint(other, 1, 'theirs'))
      expect(await state.loadLatest(task)).toMatchObject({ data: 'mine' })
    })

    it('refuses the database in place of the transaction', async () => {
      const task = fresh()
      const save = state.save(checkpoint(task, 1, null), { tx: database as never })
      await expect(save).rejects.toBeInstanceOf(InvalidArgumentError)
      expect(await state.loadLatest(task)).toBeUndefined()
    })

    it('keeps only the latest when it trims, and all of them after a rollback', async () => {
      const task = fresh()
      for (const sequence of [1, 2, 3, 4]) await state.save(checkpoint(task, sequence, null))
      const trimmed = async (fails: boolean) => {
        await database.transaction(async (tx) => {
          await state.save(checkpoint(task, 5, null), { tx, maxPerTask: 2 })
          if (fails) tx.rollback()
        })
      }
      await expect(trimmed(true)).rejects.toThrow()
      expect((await state.list(task)).map(({ sequence }) => sequence)).toStrictEqual([1, 2, 3, 4])
      await trimmed(false)
      expect((await state.list(task)).map(({ sequence }) => sequence)).toStrictEqual([4, 5])
    })
  })

  describe('save on a connection with an open transaction', () => {
    it('commits and rolls back with it', async () => {
      const task = fresh()
      const open = await connection()
      await open.beginTransaction()
      await open.query('insert into payments values (10, 1)')
      await state.save(checkpoint(task, 1, 'gone'), { tx: open })
      await open.rollback()
      expect(await state.loadLatest(task)).toBeUndefined()
      expect(await paid(10)).toBe(false)
      await open.beginTransaction()
      await open.query('insert into payments values (10, 1)')
      await state.save(checkpoint(task, 1, 'kept'), { tx: open })
      expect(await state.loadLatest(task)).toBeUndefined()
      await open.commit()
      expect(await state.loadLatest(task)).toMatchObject({ data: 'kept' })
      expect(await paid(10)).toBe(true)
    })

    it('works on the callback connection too', async () => {
      const task = fresh()
      const open = await connection()
      await open.beginTransaction()
      await state.save(checkpoint(task, 1, 'kept'), { tx: open.connection })
      expect(await state.loadLatest(task)).toBeUndefined()
      await open.commit()
      expect(await state.loadLatest(task)).toMatchObject({ data: 'kept' })
    })

    it('is refused where none is open, before anything is written', async () => {
      const task = fresh()
      const lock = await acquire(task)
      const bare = await connection()
      for (const options of [{ tx: bare }, { tx: bare, lease: lock }]) {
        await expect(state.save(checkpoint(task, 1, null), options)).rejects.toBeInstanceOf(InvalidArgumentError)
      }
      await bare.beginTransaction()
      await bare.commit()
      await expect(state.save(checkpoint(task, 1, null), { tx: bare })).rejects.toBeInstanceOf(InvalidArgumentError)
      expect(await state.loadLatest(task)).toBeUndefined()
    })

    it('neither ends the transaction nor repeats anything when it fails', async () => {
      const task = fresh()
      await state.save(checkpoint(task, 1, 'before'))
      const holder = await connection()
      await holder.beginTransaction()
      await holder.query('select * from go_goscope_checkpoints where id = ? for update', [`checkpoint:${task}/1`])
      const open = await connection()
      await open.query('set innodb_lock_wait_timeout = 1')
      onTestFinished(() => open.query('set innodb_lock_wait_timeout = default').then(() => {}))
      await open.beginTransaction()
      await open.query('insert into payments values (20, 1)')
      const begun = performance.now()
      const save = state.save(checkpoint(task, 1, 'after'), { tx: open })
      await expect(save).rejects.toBeInstanceOf(ContentionError)
      // A second try would wait for another second or two.
      expect(performance.now() - begun).toBeLessThan(2_900)
      await holder.rollback()
      await open.query('insert into payments values (21, 1)')
      await open.commit()
      expect([await paid(20), await paid(21)]).toStrictEqual([true, true])
      expect(await state.loadLatest(task)).toMatchObject({ data: 'before' })
    })

    it('reports data that cannot be stored, and lets the caller go on', async () => {
      const task = fresh()
      const open = await connection()
      await open.beginTransaction()
      await expect(state.save(checkpoint(task, 1, 1n), { tx: open })).rejects.toBeInstanceOf(SerializationError)
      await state.save(checkpoint(task, 1, 1), { tx: open })
      await open.commit()
      expect(await state.loadLatest(task)).toMatchObject({ data: 1 })
    })
  })

  describe('save under a lease', () => {
    it('stores the token with the row, and none without a lease', async () => {
      const task = fresh()
      const lock = await acquire(task)
      await state.save(checkpoint(task, 1, 'free'))
      await state.save(checkpoint(task, 2, 'held'), { lease: lock })
      expect(await fenceOf(task, 1)).toBe(0)
      expect(await fenceOf(task, 2)).toBe(lock.fence)
      await state.locks.withLock(`${task}-other`, {}, async (lease) => {
        await state.save(checkpoint(task, 1, 'held later'), { lease })
        expect(await fenceOf(task, 1)).toBe(lease.fence)
      })
      expect((await state.list(task)).map(({ data }) => data)).toStrictEqual(['held later', 'held'])
    })

    const losses = {
      'somebody took it over': async (key: string) => {
        await state.forceRelease(key)
        await acquire(key)
      },
      'it was released by force': (key: string) => state.forceRelease(key),
      'it expired': () => sleep(250),
    }
    for (const [how, lose] of Object.entries(losses)) {
      it(`is refused after ${how}, and changes nothing`, async () => {
        const task = fresh()
        const lock = await acquire(task, how === 'it expired' ? 200 : 20_000)
        await state.save(checkpoint(task, 1, 'held'), { lease: lock })
        await lose(task)
        for (const sequence of [1, 2]) {
          const save = state.save(checkpoint(task, sequence, 'late'), { lease: lock, maxPerTask: 1 })
          await expect(save).rejects.toBeInstanceOf(LockLostError)
        }
        expect(await state.list(task)).toStrictEqual([checkpoint(task, 1, 'held')])
        expect(await fenceOf(task, 1)).toBe(lock.fence)
      })
    }

    it('says whether the lock expired or was taken away', async () => {
      const [stolen, expired] = [fresh(), fresh()]
      const locks = [await acquire(stolen), await acquire(expired, 30)] as const
      await state.forceRelease(stolen)
      await sleep(60)
      const saves = [
        state.save(checkpoint(stolen, 1, null), { lease: locks[0] }),
        state.save(checkpoint(expired, 1, null), { lease: locks[1] }),
      ]
      const errors = await Promise.all(saves.map((save) => save.catch((error: LockLostError) => error.reason)))
      expect(errors).toStrictEqual(['stolen', 'expired'])
    })

    it('refuses the id of another task and keeps its row', async () => {
      const [task, other] = [fresh(), fresh()]
      await state.save(checkpoint(other, 1, 'theirs'))
      const lock = await acquire(task)
      const save = state.save({ ...checkpoint(task, 1, 'mine'), id: `${other}/1` }, { lease: lock })
      await expect(save).rejects.toBeInstanceOf(InvalidArgumentError)
      expect(await state.list(other)).toStrictEqual([checkpoint(other, 1, 'theirs')])
      expect(await state.list(task)).toStrictEqual([])
    })

    it('waits for others who are at the lock row for a moment', async () => {
      const task = fresh()
      const lock = await acquire(task)
      const holder = await connection()
      await holder.beginTransaction()
      await holder.query('select * from go_goscope_locks where `key` = ? for update', [`lock:${task}`])
      const save = state.save(checkpoint(task, 1, 'in the end'), { lease: lock })
      await sleep(100)
      await holder.rollback()
      await save
      expect(await state.loadLatest(task)).toMatchObject({ data: 'in the end' })
    })

    it('takes 5 MB', async () => {
      const task = fresh()
      const data = megabytes(5)
      const lock = await acquire(task)
      await state.save(checkpoint(task, 1, data), { lease: lock })
      expect((await state.loadLatest(task))?.data === data).toBe(true)
      await state.save(checkpoint(task, 1, `${data}!`), { lease: lock })
      expect((await state.loadLatest(task))?.data === `${data}!`).toBe(true)
    })

    it('never stores a smaller token after a larger one', async () => {
      const task = fresh()
      const adapters = [state, await context.adapter(), await context.adapter()]
      const end = performance.now() + 1_500
      let sequence = 0
      let saved = 0
      let refused = 0
      const contender = async (adapter: MySQLAdapter) => {
        while (performance.now() < end) {
          const lock = await adapter.acquire(task, 25)
          if (lock === null) continue
          // Goes on saving past the expiry, as a process does that was paused.
          for (let isHeld = true; isHeld; ) {
            const saves = Array.from({ length: 3 }, async () => {
              try {
                await adapter.save(checkpoint(task, ++sequence, null), { lease: lock })
                saved++
              } catch (error) {
                if (!(error instanceof LockLostError)) throw error
                refused++
                isHeld = false
              }
            })
            await Promise.all(saves)
          }
        }
      }
      await Promise.all(adapters.map(contender))
      // The moment is read by the database while it holds the lock's row: an order apart from the tokens.
      const [rows] = await pool.query<RowDataPacket[]>(
        'select created_at as moment, min(fence) as least, max(fence) as greatest from go_goscope_checkpoints where task_id = ? group by created_at order by created_at',
        [`task:${task}`],
      )
      for (const [index, row] of rows.slice(1).entries()) {
        expect(Number(row.least)).toBeGreaterThanOrEqual(Number(rows[index]?.greatest))
      }
      expect((await state.list(task)).length).toBe(saved)
      expect(new Set(rows.map((row) => row.greatest)).size).toBeGreaterThan(5)
      expect(refused).toBeGreaterThan(5)
    })
  })

  describe('save in a transaction under a lease', () => {
    it('commits with the business write', async () => {
      const task = fresh()
      const lock = await acquire(task)
      await database.transaction(async (tx) => {
        await tx.insert(payments).values({ id: 30, amount: 1 })
        await state.save(checkpoint(task, 1, 'both'), { tx, lease: lock })
        expect(await state.loadLatest(task)).toBeUndefined()
      })
      expect(await fenceOf(task, 1)).toBe(lock.fence)
      expect(await paid(30)).toBe(true)
    })

    it('works after assertHeld in the same transaction', async () => {
      const task = fresh()
      const lock = await acquire(task)
      await database.transaction(async (tx) => {
        await lock.assertHeld(tx)
        await tx.insert(payments).values({ id: 31, amount: 1 })
        await state.save(checkpoint(task, 1, 'one'), { tx, lease: lock })
        await lock.assertHeld(tx)
        await state.save(checkpoint(task, 2, 'two'), { tx, lease: lock, maxPerTask: 1 })
      })
      expect((await state.list(task)).map(({ data }) => data)).toStrictEqual(['two'])
      expect(await paid(31)).toBe(true)
    })

    it('throws LockLostError after a loss, so that the transaction rolls back', async () => {
      const task = fresh()
      const lock = await acquire(task)
      await state.forceRelease(task)
      const transaction = database.transaction(async (tx) => {
        await tx.insert(payments).values({ id: 32, amount: 1 })
        await state.save(checkpoint(task, 1, 'late'), { tx, lease: lock })
      })
      await expect(transaction).rejects.toBeInstanceOf(LockLostError)
      expect(await paid(32)).toBe(false)
      expect(await state.loadLatest(task)).toBeUndefined()
    })

    it('lets nobody take the lock over between the save and the commit, even past its expiry', async () => {
      const task = fresh()
      const lock = await acquire(task, 150)
      await database.transaction(async (tx) => {
        await state.save(checkpoint(task, 1, 'held'), { tx, lease: lock })
        await sleep(300)
        expect(await state.acquire(task, 20_000)).toBeNull()
      })
      expect(await state.acquire(task, 20_000)).not.toBeNull()
      expect(await state.loadLatest(task)).toMatchObject({ data: 'held' })
    })

    it('succeeds when the lease was renewed since the transaction first read', async () => {
      const task = fresh()
      const lock = await acquire(task)
      await database.transaction(async (tx) => {
        expect(await tx.select().from(payments).where(sql`id = 33`)).toStrictEqual([])
        expect(await lock.extend(20_000)).toBe(true)
        await tx.insert(payments).values({ id: 33, amount: 1 })
        await state.save(checkpoint(task, 1, 'renewed'), { tx, lease: lock })
      })
      expect(await paid(33)).toBe(true)
      expect(await state.loadLatest(task)).toMatchObject({ data: 'renewed' })
    })

    it('waits while the lease is being renewed', async () => {
      const task = fresh()
      const lock = await acquire(task)
      const renewal = await connection()
      await renewal.beginTransaction()
      await renewal.query('update go_goscope_locks set expires_at = expires_at + interval 1 second where `key` = ?', [
        `lock:${task}`,
      ])
      await database.transaction(async (tx) => {
        await tx.insert(payments).values({ id: 34, amount: 1 })
        const save = state.save(checkpoint(task, 1, 'renewed'), { tx, lease: lock })
        await sleep(100)
        await renewal.commit()
        await save
      })
      expect(await paid(34)).toBe(true)
      expect(await state.loadLatest(task)).toMatchObject({ data: 'renewed' })
    })

    it('survives many renewals meanwhile', async () => {
      const task = fresh()
      const lock = await acquire(task)
      let isDone = false
      const renew = async () => {
        // A renewal gives way to the transaction that holds the row.
        while (!isDone) await lock.extend(20_000).catch((error) => expect(error).toBeInstanceOf(ContentionError))
      }
      const work = async () => {
        for (let sequence = 1; sequence <= 60; sequence++) {
          await database.transaction(async (tx) => {
            await tx.insert(payments).values({ id: 1_000 + sequence, amount: 1 })
            await state.save(checkpoint(task, sequence, null), { tx, lease: lock })
          })
        }
        isDone = true
      }
      await Promise.all([renew(), work().finally(() => (isDone = true))])
      expect((await state.list(task)).length).toBe(60)
    })
  })

  describe('trimming', () => {
    it('keeps at most maxPerTask of the task, and leaves other tasks alone', async () => {
      const [task, other] = [fresh(), fresh()]
      await state.save(checkpoint(other, 1, null))
      for (let sequence = 1; sequence <= 7; sequence++) {
        await state.save(checkpoint(task, sequence, null), { maxPerTask: 3 })
        const expected = [sequence - 2, sequence - 1, sequence].filter((kept) => kept > 0)
        expect((await state.list(task)).map((found) => found.sequence)).toStrictEqual(expected)
      }
      expect((await state.list(other)).length).toBe(1)
      for (const maxPerTask of [0, -1, 1.5, Number.NaN]) {
        await expect(state.save(checkpoint(task, 8, null), { maxPerTask })).rejects.toBeInstanceOf(InvalidArgumentError)
      }
    })

    it('by age keeps the latest, however old it is', async () => {
      const task = fresh()
      for (const sequence of [1, 2, 3]) await state.save(checkpoint(task, sequence, null))
      await sleep(150)
      await state.save(checkpoint(task, 4, null))
      await state.checkpoints.cleanupOlderThan(task, 120)
      expect((await state.list(task)).map(({ sequence }) => sequence)).toStrictEqual([4])
      await sleep(20)
      await state.checkpoints.cleanupOlderThan(task, 0)
      expect((await state.list(task)).map(({ sequence }) => sequence)).toStrictEqual([4])
    })
  })

  describe('tasks', () => {
    it('tells prefixes apart that look alike', async () => {
      const base = `${fresh()}:`
      const ids = ['a_1', 'ab1', 'A_1', 'a%1', 'a|1', 'a\\1', 'á1', 'a 1', 'a', '']
      for (const id of ids) await state.save(checkpoint(base + id, 1, null))
      const found = async (prefix: string) =>
        (await state.checkpoints.tasks({ prefix: base + prefix })).map(({ taskId }) => taskId.slice(base.length))
      for (const id of ids) {
        expect(new Set(await found(id))).toStrictEqual(new Set(ids.filter((other) => other.startsWith(id))))
      }
      expect(await found('a_')).toStrictEqual(['a_1'])
      expect(await found('a ')).toStrictEqual(['a 1'])
      expect(await found('b')).toStrictEqual([])
    })

    it('keeps to the tasks of the adapter that asks', async () => {
      const task = fresh()
      const others = new MySQLAdapter(pool, { keyPrefix: 'others:' })
      await others.save(checkpoint(task, 1, null))
      expect(await state.checkpoints.tasks({ prefix: task })).toStrictEqual([])
      expect((await others.checkpoints.tasks()).map(({ taskId }) => taskId)).toStrictEqual([task])
    })

    it('lists 1,050 tasks in order, each with its latest progress', async () => {
      const base = `${fresh()}-`
      const many = new MySQLAdapter(pool, { keyPrefix: 'many:' })
      await many.save({ ...checkpoint(`${base}0`, 1, null), estimatedTimeRemaining: 12.5 })
      const rows = Array.from({ length: 1_050 }, (_, index) => `${base}${String(index).padStart(5, '0')}`).flatMap(
        (task) =>
          [2, 3, 1].map((sequence) => [
            `many:checkpoint:${task}/${sequence}`,
            `many:task:${task}`,
            sequence,
            sequence * 10,
            sequence / 2,
            'null',
            '2026-01-01',
          ]),
      )
      await pool.query(
        'insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, created_at) values ?',
        [rows],
      )
      const found = await many.checkpoints.tasks({ prefix: base })
      expect(found.length).toBe(1_051)
      expect(found[0]).toStrictEqual({
        taskId: `${base}0`,
        sequence: 1,
        timestamp: 1_001,
        progress: 1,
        estimatedTimeRemaining: 12.5,
      })
      expect(found.at(-1)).toStrictEqual({ taskId: `${base}01049`, sequence: 3, timestamp: 30, progress: 1.5 })
      expect(found.map(({ taskId }) => taskId)).toStrictEqual(found.map(({ taskId }) => taskId).toSorted())
    })
  })

  describe('iterate', () => {
    it('goes through many pages while its only connection is free for the caller', async () => {
      const task = fresh()
      const rows = Array.from({ length: 450 }, (_, index) => [
        `checkpoint:${task}/${index}`,
        `task:${task}`,
        // Several with the same sequence, across the borders of pages.
        Math.floor(index / 7),
        index,
        0,
        String(index),
        '2026-01-01',
      ])
      await pool.query(
        'insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, created_at) values ?',
        [rows],
      )
      const single = context.pool({ connectionLimit: 1 })
      const alone = new MySQLAdapter(single, { timeout: 2_000 })
      const found: number[] = []
      for await (const { data } of alone.checkpoints.iterate<number>(task)) {
        found.push(data)
        if (data % 50 !== 0) continue
        const connection = await single.getConnection()
        await connection.query('select 1')
        connection.release()
        await alone.set(task, data)
      }
      expect(found).toStrictEqual(rows.map((_, index) => index))
    })
  })

  describe('codecs', () => {
    it('compress large data, which an adapter without the option reads', async () => {
      const task = fresh()
      const packing = new MySQLAdapter(pool, { compressAbove: 1_000 })
      const data = { rows: Array.from({ length: 500 }, (_, row) => ({ row, note: 'ä😀' })) }
      await packing.save(checkpoint(task, 1, data))
      await packing.save(checkpoint(task, 2, { rows: 1 }))
      const lock = await acquire(task)
      await packing.save(checkpoint(task, 3, data), { lease: lock })
      for (const reader of [packing, state]) {
        expect((await reader.list(task)).map((found) => found.data)).toStrictEqual([data, { rows: 1 }, data])
      }
      const [stored] = await pool.query<RowDataPacket[]>(
        'select length(data) as size from go_goscope_checkpoints where task_id = ? order by sequence',
        [`task:${task}`],
      )
      expect(stored[0]?.size).toBeLessThan(JSON.stringify(data).length / 3)
      expect(stored[1]?.size).toBe(JSON.stringify({ rows: 1 }).length)
      await state.save(checkpoint(task, 1, 'plain'))
      expect(await packing.load(`${task}/1`)).toMatchObject({ data: 'plain' })
    })

    it('keep dates, BigInt, maps, sets and undefined with the rich one, compressed or not', async () => {
      const task = fresh()
      const rich = new MySQLAdapter(pool, { codec: 'rich' })
      const packing = new MySQLAdapter(pool, { codec: 'rich', compressAbove: 0 })
      const data = { at: new Date(5), total: 2n ** 70n, seen: new Map([['a', new Set([1])]]), none: [undefined] }
      await rich.save(checkpoint(task, 1, data))
      await packing.save(checkpoint(task, 2, data))
      for (const reader of [rich, packing]) {
        expect((await reader.list(task)).map((found) => found.data)).toStrictEqual([data, data])
      }
    })
  })

  it('takes 16 MB of data, or says that max_allowed_packet forbids it', async () => {
    const task = fresh()
    const data = megabytes(16)
    const [rows] = await pool.query<RowDataPacket[]>('select @@max_allowed_packet as size')
    const saves = [state.save(checkpoint(task, 1, data))]
    if (Number(rows[0]?.size) > 17 * 2 ** 20) {
      await saves[0]
      expect((await state.loadLatest(task))?.data === data).toBe(true)
    } else {
      await expect(saves[0]).rejects.toThrow(/max_allowed_packet/)
      await expect(saves[0]).rejects.toBeInstanceOf(SerializationError)
      expect(await state.loadLatest(task)).toBeUndefined()
    }
  })
})
