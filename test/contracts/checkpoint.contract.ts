import { inspect } from 'node:util'
import fc from 'fast-check'
import { type Checkpoint, InvalidArgumentError, MySQLAdapter, SerializationError } from 'goscope-mysql'
import type { Pool } from 'mysql2/promise'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Listed, Listing } from '../children/list-checkpoints.js'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import { explain, recordStatements, type SentStatement } from '../support/statements.js'

const secret = 'SECRET-4711'
// MariaDB returns -0 as 0.
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0)

onEveryServer('checkpoints', (context) => {
  let pool: Pool
  let sent: SentStatement[]
  let prefixes = 0

  beforeAll(async () => {
    pool = context.pool()
    sent = recordStatements(pool)
    await new MySQLAdapter(pool).connect()
  })

  const freshPrefix = () => `test${++prefixes}:`
  const checkpointsOf = (keyPrefix = freshPrefix()) => new MySQLAdapter(pool, { keyPrefix }).checkpoints

  function checkpoint(taskId: string, sequence: number, more: Partial<Checkpoint> = {}): Checkpoint {
    return {
      id: `${taskId}-${sequence}`,
      taskId,
      sequence,
      timestamp: 1_000 + sequence,
      progress: 0,
      data: null,
      ...more,
    }
  }

  describe('save and load', () => {
    it('keep every field', async () => {
      const checkpoints = checkpointsOf()
      const full: Checkpoint = {
        id: 'import-7',
        taskId: 'import',
        sequence: 7,
        timestamp: 1_722_000_000_123.456,
        progress: 33.333_333_333_333_336,
        data: { zebra: 1, ant: [null, { 'cursor ': 'é😀' }] },
        estimatedTimeRemaining: 0.1,
      }
      await checkpoints.save(full)
      expect(await checkpoints.load('import-7')).toStrictEqual(full)
      expect(await checkpoints.loadLatest('import')).toStrictEqual(full)
      expect(await checkpoints.list('import')).toStrictEqual([full])
      const found = await checkpoints.load<object>('import-7')
      expect(JSON.stringify(found?.data)).toBe(JSON.stringify(full.data))
    })

    it('keep any finite number and any whole sequence below 2^53', async () => {
      const checkpoints = checkpointsOf()
      const sequence = fc.oneof(
        fc.maxSafeNat(),
        fc.constantFrom(0, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 2, Number.MAX_SAFE_INTEGER),
      )
      await fc.assert(
        fc.asyncProperty(sequence, finite, finite, fc.option(finite), async (number, timestamp, progress, estimate) => {
          const saved = {
            ...checkpoint('task', number, { id: 'id', timestamp, progress }),
            ...(estimate !== null && { estimatedTimeRemaining: estimate }),
          }
          await checkpoints.save(saved)
          expect(await checkpoints.load('id')).toStrictEqual(saved)
        }),
        {
          numRuns: 60,
          examples: [
            [Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Number.MIN_VALUE, -Number.MAX_VALUE],
            [2 ** 31, 0.1 + 0.2, -1.5, 0],
          ],
        },
      )
    })

    it('tell an absent estimate from one of 0', async () => {
      const checkpoints = checkpointsOf()
      await checkpoints.save(checkpoint('task', 1, { estimatedTimeRemaining: 0 }))
      expect(await checkpoints.load('task-1')).toHaveProperty('estimatedTimeRemaining', 0)
      await checkpoints.save(checkpoint('task', 1))
      expect(await checkpoints.load('task-1')).not.toHaveProperty('estimatedTimeRemaining')
    })

    it('keep data that is null, false, 0 or empty', async () => {
      const checkpoints = checkpointsOf()
      for (const data of [null, false, 0, '', [], {}]) {
        await checkpoints.save(checkpoint('task', 1, { data }))
        expect((await checkpoints.load('task-1'))?.data).toStrictEqual(data)
      }
    })

    it('keep 16 MB of data', async () => {
      const checkpoints = checkpointsOf()
      const data = 'x'.repeat(16 * 1024 * 1024)
      await checkpoints.save(checkpoint('large', 1, { data }))
      // Not toEqual, which would print both on failure.
      for (const found of [await checkpoints.load('large-1'), ...(await checkpoints.list('large'))]) {
        expect(found?.data === data).toBe(true)
      }
      await checkpoints.deleteAll('large')
    })

    it('answer undefined for what was never saved', async () => {
      const checkpoints = checkpointsOf()
      expect(await checkpoints.load('nothing')).toBeUndefined()
      expect(await checkpoints.loadLatest('nothing')).toBeUndefined()
      expect(await checkpoints.list('nothing')).toEqual([])
    })

    it('replace every field when the same id is saved again', async () => {
      const checkpoints = checkpointsOf()
      await checkpoints.save({ ...checkpoint('task', 9, { id: 'id', data: [1] }), estimatedTimeRemaining: 5 })
      const later = checkpoint('task', 3, { id: 'id', timestamp: 1.5, progress: 99.9, data: { b: 2 } })
      await checkpoints.save(later)
      expect(await checkpoints.load('id')).toStrictEqual(later)
      expect(await checkpoints.list('task')).toStrictEqual([later])
    })

    it('refuse the id of another task, and leave its checkpoint as it is', async () => {
      const checkpoints = checkpointsOf()
      const first = { ...checkpoint('one', 1, { id: 'id', data: 'first' }), estimatedTimeRemaining: 5 }
      await checkpoints.save(first)
      for (const taskId of ['two', 'One', 'one ', '']) {
        const other = checkpoint(taskId, 8, { id: 'id', data: secret })
        const error: unknown = await checkpoints.save(other).catch((thrown) => thrown)
        expect(error).toBeInstanceOf(InvalidArgumentError)
        expect(inspect(error, { depth: 10 })).not.toContain(secret)
        expect(await checkpoints.load('id')).toStrictEqual(first)
        expect(await checkpoints.list(taskId)).toEqual([])
      }
      await checkpoints.save({ ...first, data: 'again' })
      expect((await checkpoints.load('id'))?.data).toBe('again')
    })

    it('refuse an id on every connection and after any number of saves', async () => {
      const checkpoints = checkpointsOf()
      await checkpoints.save(checkpoint('one', 1, { id: 'taken' }))
      const saves = Array.from({ length: 40 }, (_, index) =>
        index % 2 === 0
          ? checkpoints.save(checkpoint('two', index))
          : checkpoints.save(checkpoint('two', index, { id: 'taken' })),
      )
      const outcomes = await Promise.allSettled(saves)
      expect(outcomes.map(({ status }) => status)).toEqual(
        saves.map((_, index) => (index % 2 === 0 ? 'fulfilled' : 'rejected')),
      )
    })

    it.each<[string, Partial<Record<keyof Checkpoint, unknown>>, new (...args: never[]) => Error]>([
      ['a negative sequence', { sequence: -1 }, InvalidArgumentError],
      ['a fractional sequence', { sequence: 1.5 }, InvalidArgumentError],
      ['a sequence from 2^53 on', { sequence: 2 ** 53 }, InvalidArgumentError],
      ['a sequence that is no number', { sequence: '1' }, InvalidArgumentError],
      ['progress that is NaN', { progress: Number.NaN }, InvalidArgumentError],
      ['progress that is absent', { progress: undefined }, InvalidArgumentError],
      ['an endless timestamp', { timestamp: Number.POSITIVE_INFINITY }, InvalidArgumentError],
      ['a timestamp that is a Date', { timestamp: new Date() }, InvalidArgumentError],
      ['an estimate that is NaN', { estimatedTimeRemaining: Number.NaN }, InvalidArgumentError],
      ['an estimate that is null', { estimatedTimeRemaining: null }, InvalidArgumentError],
      ['an id that is no string', { id: 7 }, InvalidArgumentError],
      ['an id of 600 characters', { id: 'x'.repeat(600) }, InvalidArgumentError],
      ['a task id that is absent', { taskId: undefined }, InvalidArgumentError],
      ['a task id with a lone surrogate', { taskId: '\ud800' }, InvalidArgumentError],
      ['data that is undefined', { data: undefined }, SerializationError],
      ['data with a BigInt', { data: { secret, amount: 4711n } }, SerializationError],
      ['data with a Map', { data: [new Map([[secret, secret]])] }, SerializationError],
    ])('refuse before any SQL %s', async (_name, more, type) => {
      const checkpoints = checkpointsOf()
      const earlier = checkpoint('task', 1, { data: 'earlier' })
      await checkpoints.save(earlier)
      const before = sent.length
      const error: unknown = await checkpoints.save({ ...earlier, ...more } as Checkpoint).catch((thrown) => thrown)
      expect(sent.length).toBe(before)
      expect(error).toBeInstanceOf(type)
      expect(inspect(error, { depth: 10 })).not.toContain(secret)
      expect(await checkpoints.list('task')).toEqual([earlier])
    })

    it('report data that somebody else put there, without quoting it', async () => {
      const keyPrefix = freshPrefix()
      const checkpoints = checkpointsOf(keyPrefix)
      await checkpoints.save(checkpoint('task', 1))
      await context.admin.query('update go_goscope_checkpoints set data = ? where id = ?', [
        `{"card": ${secret}`,
        `${keyPrefix}checkpoint:task-1`,
      ])
      const reads = [
        () => checkpoints.load('task-1'),
        () => checkpoints.loadLatest('task'),
        () => checkpoints.list('task'),
      ]
      for (const read of reads) {
        const error: unknown = await read().catch((thrown) => thrown)
        expect(error).toBeInstanceOf(SerializationError)
        expect(inspect(error, { depth: 10 })).not.toContain(secret)
      }
    })
  })

  describe('the order', () => {
    it('is that of the sequences as numbers, then of the timestamps', async () => {
      const checkpoints = checkpointsOf()
      const numbers = [10, 9, 2, 2 ** 53 - 1, 2 ** 31, 0, 2 ** 53 - 2, 100]
      const saved = numbers.map((sequence) => checkpoint('task', sequence, { timestamp: 5 - sequence }))
      const ties = [0.25, -3, 0.5, 1e300].map((timestamp) =>
        checkpoint('task', 50, { id: `at ${timestamp}`, timestamp }),
      )
      for (const one of [...saved, ...ties]) await checkpoints.save(one)
      const expected = [...saved, ...ties].sort((a, b) => a.sequence - b.sequence || a.timestamp - b.timestamp)
      expect(await checkpoints.list('task')).toEqual(expected)
      expect((await checkpoints.loadLatest('task'))?.sequence).toBe(2 ** 53 - 1)
      await checkpoints.cleanup('task', 9)
      expect(await checkpoints.list('task')).toEqual(expected.slice(-9))
      await checkpoints.cleanup('task', 5)
      expect(await checkpoints.list('task')).toEqual(expected.slice(-5))
    })

    it('of the latest is decided by the timestamp where sequences are equal', async () => {
      const checkpoints = checkpointsOf()
      for (const timestamp of [5, 7.5, 7.25, 6]) {
        await checkpoints.save(checkpoint('task', 1, { id: `at ${timestamp}`, timestamp }))
      }
      expect((await checkpoints.loadLatest('task'))?.timestamp).toBe(7.5)
      await checkpoints.cleanup('task', 1)
      expect((await checkpoints.list('task')).map(({ timestamp }) => timestamp)).toEqual([7.5])
    })

    it('survives pages, with ties across their borders', async () => {
      const keyPrefix = freshPrefix()
      const checkpoints = checkpointsOf(keyPrefix)
      const rows = Array.from({ length: 1_050 }, (_, index) => ({
        id: `${keyPrefix}checkpoint:${String(index).padStart(4, '0')}`,
        sequence: Math.floor(index / 350),
        timestamp: Math.floor(index / 70) / 4,
      }))
      await context.admin.query(
        'insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, created_at) values ?',
        [rows.map((row) => [row.id, `${keyPrefix}task:t`, row.sequence, row.timestamp, 0, '0', '2024-01-01'])],
      )
      const found = await checkpoints.list('t')
      expect(found.map(({ id }) => `${keyPrefix}checkpoint:${id}`)).toEqual(rows.map(({ id }) => id))
      expect((await checkpoints.loadLatest('t'))?.id).toBe('1049')
      await checkpoints.cleanup('t', 3)
      expect((await checkpoints.list('t')).map(({ id }) => id)).toEqual(['1047', '1048', '1049'])
    })
  })

  describe('cleanup', () => {
    it.each([
      [0, []],
      [1, [5]],
      [3, [3, 4, 5]],
      [5, [1, 2, 3, 4, 5]],
      [1_000_000, [1, 2, 3, 4, 5]],
      [Number.MAX_SAFE_INTEGER, [1, 2, 3, 4, 5]],
    ])('keeps the latest %i', async (kept, expected) => {
      const checkpoints = checkpointsOf()
      for (const sequence of [3, 1, 5, 2, 4]) await checkpoints.save(checkpoint('task', sequence))
      await checkpoints.cleanup('task', kept)
      expect((await checkpoints.list('task')).map(({ sequence }) => sequence)).toEqual(expected)
    })

    it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined])(
      'refuses before any SQL to keep %s',
      async (kept) => {
        const checkpoints = checkpointsOf()
        await checkpoints.save(checkpoint('task', 1))
        const before = sent.length
        await expect(checkpoints.cleanup('task', kept as number)).rejects.toThrow(InvalidArgumentError)
        expect(sent.length).toBe(before)
        expect(await checkpoints.list('task')).toHaveLength(1)
      },
    )

    it('spares a checkpoint that is saved anew as the latest while it runs', async () => {
      const keyPrefix = freshPrefix()
      const checkpoints = checkpointsOf(keyPrefix)
      for (const sequence of [1, 2, 3]) await checkpoints.save(checkpoint('task', sequence, { id: `slot-${sequence}` }))
      const saving = await context.admin.getConnection()
      try {
        await saving.query('begin')
        await saving.query('update go_goscope_checkpoints set sequence = 4, data = ? where id = ?', [
          '"latest"',
          `${keyPrefix}checkpoint:slot-1`,
        ])
        const cleanup = checkpoints.cleanup('task', 2)
        await untilDeletion(context.admin)
        await saving.query('commit')
        await cleanup
      } finally {
        saving.destroy()
      }
      expect(await checkpoints.loadLatest('task')).toMatchObject({ id: 'slot-1', sequence: 4, data: 'latest' })
    })
  })

  describe('tasks', () => {
    const lookAlikes = [
      't',
      'T',
      't ',
      ' t',
      't  ',
      'ť',
      't\0',
      't%',
      't_',
      't\u2420',
      'ｔ',
      'task:t',
      't:checkpoint:',
      '',
    ]

    it('do not mix, however much their ids look alike', async () => {
      const checkpoints = checkpointsOf()
      for (const [index, taskId] of lookAlikes.entries()) {
        for (const sequence of [1, 2]) {
          await checkpoints.save(checkpoint(taskId, sequence + index, { id: `${taskId}/${sequence}`, data: taskId }))
        }
      }
      const sequencesOf = async (taskId: string) => (await checkpoints.list(taskId)).map(({ sequence }) => sequence)
      for (const [index, taskId] of lookAlikes.entries()) {
        expect(await checkpoints.loadLatest(taskId)).toMatchObject({ taskId, sequence: 2 + index, data: taskId })
        expect(await sequencesOf(taskId)).toEqual([1 + index, 2 + index])
      }
      await checkpoints.cleanup('t', 1)
      await checkpoints.deleteAll('T')
      expect(await sequencesOf('t')).toEqual([2])
      expect(await sequencesOf('T')).toEqual([])
      for (const [index, taskId] of lookAlikes.entries()) {
        if (taskId !== 't' && taskId !== 'T') expect(await sequencesOf(taskId)).toEqual([1 + index, 2 + index])
      }
    })

    it('of other prefixes are not touched', async () => {
      const keyPrefix = freshPrefix()
      const own = checkpointsOf(keyPrefix)
      const others = ['%', ' ', 'task:', 'checkpoint:'].map((more) => checkpointsOf(keyPrefix + more))
      for (const checkpoints of [own, ...others]) await checkpoints.save(checkpoint('t', 1))
      await own.deleteAll('t')
      await own.deleteAll('t')
      expect(await own.list('t')).toEqual([])
      for (const other of others) {
        expect(await other.list('t')).toHaveLength(1)
        await other.cleanup('t', 0)
        expect(await other.load('t-1')).toBeUndefined()
      }
    })
  })

  it('takes saves and cleanups of 20 tasks from four pools at once', async () => {
    const keyPrefix = freshPrefix()
    const workers = Array.from(
      { length: 4 },
      () => new MySQLAdapter(context.pool({ connectionLimit: 6 }), { keyPrefix }).checkpoints,
    )
    const tasks = Array.from({ length: 20 }, (_, index) => `task ${index}`)
    const rounds = tasks.flatMap((task, index) =>
      workers.map(async (worker, part) => {
        // The 15 checkpoints of a task are shared out among the pools.
        for (let sequence = part; sequence < 15; sequence += workers.length) {
          await worker.save(checkpoint(task, sequence, { data: { index, part } }))
          await worker.cleanup(task, 5)
        }
      }),
    )
    await Promise.all(rounds)
    for (const task of tasks) {
      const left = (await checkpointsOf(keyPrefix).list(task)).map(({ sequence }) => sequence)
      expect(left).toHaveLength(5)
      expect(left.at(-1)).toBe(14)
    }
  })

  describe('at size', () => {
    const rowsPerBatch = 1_000

    /** Inserts rows behind the library's back, in the form in which it stores them. */
    async function insertRows(keyPrefix: string, taskId: string, count: number, dataLength: number): Promise<void> {
      const connection = await context.admin.getConnection()
      // Nobody replays these rows, and a binary log would write them all a second time.
      await connection.query('set sql_log_bin = 0')
      const digits = (alias: string) =>
        `(${Array.from({ length: 10 }, (_, digit) => `select ${digit} as n`).join(' union all ')}) ${alias}`
      for (let begin = 1; begin <= count; begin += rowsPerBatch) {
        await connection.query(
          `insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, fence, created_at)
           select concat(?, n), ?, n, 1000.5 + n, n / 10000, concat('"', n, '-', repeat('x', ? - 1 - length(n)), '"'), 0, utc_timestamp(3)
           from (select ? + a.n + 10 * b.n + 100 * c.n as n from ${digits('a')}, ${digits('b')}, ${digits('c')}) numbers`,
          [`${keyPrefix}checkpoint:`, `${keyPrefix}task:${taskId}`, dataLength, begin],
        )
      }
      connection.destroy()
    }

    it('lists and finds the latest through the index of tasks, without sorting', async () => {
      const keyPrefix = freshPrefix()
      const checkpoints = checkpointsOf(keyPrefix)
      for (const task of ['a', 'b']) await insertRows(`${keyPrefix}${task}:`, 't', 1_000, 20)
      await insertRows(keyPrefix, 't', 1_000, 20)
      await context.admin.query('analyze table go_goscope_checkpoints')
      const first = sent.length
      await checkpoints.loadLatest('t')
      await checkpoints.list('t')
      await checkpoints.cleanup('t', 999)
      const reads = new Map(sent.slice(first).map((statement) => [statement.sql, statement]))
      for (const sql of reads.keys()) if (!/^(set statement .* for )?select /.test(sql)) reads.delete(sql)
      // The latest, the first page, a later page, and what a clean-up deletes.
      expect(reads.size).toBe(4)
      for (const statement of reads.values()) {
        const plan = await explain(context.admin, statement)
        expect(plan).toMatchObject([{ key: 'go_goscope_checkpoints_task' }])
        expect(plan[0]?.Extra ?? '').not.toMatch(/filesort|temporary/)
      }
    })

    it('lists 10,000 checkpoints of 100 KB', async () => {
      const keyPrefix = freshPrefix()
      try {
        await insertRows(keyPrefix, 't', 10_000, 100_000)
        const listing: Listing = { url: context.url, keyPrefix, taskId: 't' }
        const child = new Child<Listed>('children/list-checkpoints.ts', listing, {
          NODE_OPTIONS: '--max-old-space-size=6144',
        })
        onTestFinished(() => child.kill())
        const sample = { id: '5001', taskId: 't', sequence: 5001, timestamp: 6001.5, progress: 0.5001 }
        expect(await child.end()).toEqual([
          {
            count: 10_000,
            isAscending: true,
            lengths: [100_000],
            sample: { ...sample, data: '5001-xxxxx' },
          },
        ])
      } finally {
        // Gives the disk back at once, which deleting the rows would not.
        await context.admin.query('truncate table go_goscope_checkpoints')
      }
    }, 240_000)
  })
})

/** Resolves when a deletion is under way in this database. */
async function untilDeletion(admin: Pool): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const [rows] = await admin.query(
      "select 1 from information_schema.processlist where db = database() and info regexp '^(set statement .* for )?delete '",
    )
    if ((rows as unknown[]).length > 0) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('expected a deletion that waits for a row, got none')
}
