import { drizzle } from 'drizzle-orm/mysql2'
import { type Checkpoint, MySQLAdapter } from 'goscope-mysql'
import type { Pool } from 'mysql2/promise'
import { beforeAll, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { countStatements, explain, recordStatements, type SentStatement } from '../support/statements.js'

onEveryServer('what checkpoints cost', (context) => {
  let pool: Pool
  let state: MySQLAdapter
  let sent: SentStatement[]

  beforeAll(async () => {
    pool = context.pool({ connectionLimit: 1 })
    sent = recordStatements(pool)
    state = new MySQLAdapter(pool)
    await state.connect()
  })

  let sequence = 0
  const next = (): Checkpoint<number> => {
    sequence++
    return { id: `report-${sequence}`, taskId: 'report', sequence, timestamp: 1, progress: 0, data: sequence }
  }

  describe('round trips', () => {
    it('are one for save, with and without a lease, and for loadLatest', async () => {
      const lease = await state.acquire('report', 60_000)
      if (lease === null) throw new Error('expected a free lock')
      const operations = {
        save: () => state.save(next()),
        'save again': () => state.save({ ...next(), id: 'report-1' }),
        'save under a lease': () => state.save(next(), { lease }),
        loadLatest: () => state.loadLatest('report'),
        load: () => state.load('report-1'),
      }
      const counts: Record<string, number> = {}
      for (const [name, operation] of Object.entries(operations)) {
        await operation()
        counts[name] = await countStatements(pool, operation)
      }
      expect(counts).toStrictEqual({
        save: 1,
        'save again': 1,
        'save under a lease': 1,
        loadLatest: 1,
        load: 1,
      })
    })

    it('are one for save in a Drizzle transaction, with and without a lease', async () => {
      const lease = await state.acquire('report-in-transaction', 60_000)
      if (lease === null) throw new Error('expected a free lock')
      const connection = await pool.getConnection()
      try {
        const counts = await drizzle(connection).transaction(async (tx) => {
          const save = () => state.save(next(), { tx })
          const saveHeld = () => state.save(next(), { tx, lease })
          await save()
          await saveHeld()
          return [await countStatements(connection, save), await countStatements(connection, saveHeld)]
        })
        expect(counts).toStrictEqual([1, 1])
      } finally {
        connection.release()
      }
    })

    it('are one more on a bare connection, to ask it for its transaction', async () => {
      const connection = await pool.getConnection()
      try {
        await connection.beginTransaction()
        const save = () => state.save(next(), { tx: connection })
        await save()
        expect(await countStatements(connection, save)).toBe(2)
        await connection.commit()
      } finally {
        connection.release()
      }
    })
  })

  describe('plans', () => {
    const index = 'go_goscope_checkpoints_task'

    beforeAll(async () => {
      const rows = Array.from({ length: 4_000 }, (_, number) => [
        `checkpoint:plan-${number}`,
        `task:plan-${String(number % 10).padStart(2, '0')}`,
        Math.floor(number / 20),
        number,
        0,
        JSON.stringify('x'.repeat(500)),
        '2026-01-01',
      ])
      await context.admin.query(
        'insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, created_at) values ?',
        [rows],
      )
      await context.admin.query('analyze table go_goscope_checkpoints')
    })

    it('read the latest checkpoint and all of a task through its index, in its order', async () => {
      sent.length = 0
      await state.loadLatest('plan-03')
      expect((await state.list('plan-03')).length).toBe(400)
      // The latest, two full pages of 200, and the empty one after them.
      expect(sent.length).toBe(4)
      for (const statement of sent) {
        const plan = await explain(context.admin, statement)
        expect(plan.map(({ key }) => key)).toStrictEqual([index])
        expect(plan[0]?.Extra ?? '').not.toMatch(/filesort|temporary/)
      }
    })

    it('read the latest of each task through the index alone', async () => {
      sent.length = 0
      expect((await state.checkpoints.tasks({ prefix: 'plan-' })).length).toBe(10)
      expect(sent.length).toBe(1)
      const plan = await explain(context.admin, sent[0])
      const onTable = plan.filter(({ key }) => key !== null && !key.startsWith('<'))
      expect(onTable.map(({ key }) => key)).toStrictEqual([index, index])
      expect(plan.length).toBe(3)
      expect(onTable.some(({ Extra }) => /Using index(?! condition)/.test(Extra ?? ''))).toBe(true)
    })
  })
})
