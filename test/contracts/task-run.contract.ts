import { getEventListeners, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { drizzle } from 'drizzle-orm/mysql2'
import {
  ContentionError,
  InvalidArgumentError,
  LockLostError,
  MySQLAdapter,
  type Task,
  type TaskProgress,
} from 'goscope-mysql'
import type { Pool } from 'mysql2/promise'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

onEveryServer('tasks that resume', (context) => {
  let pool: Pool
  let state: MySQLAdapter
  let other: MySQLAdapter
  let names = 0

  const fresh = () => `task-${++names}`
  const crash = new Error('the worker crashed')

  beforeAll(async () => {
    pool = context.pool()
    state = new MySQLAdapter(pool)
    await state.connect()
    other = await context.adapter()
    await pool.query('create table work (step int primary key) engine=InnoDB')
  })

  const sequences = async (task: string) => (await state.list(task)).map(({ sequence }) => sequence)

  /** Frees the task's lease behind the back of whoever runs it. */
  async function forceRelease(task: string) {
    await context.admin.query(
      'update go_goscope_locks set owner = null, expires_at = utc_timestamp(3) where `key` = ?',
      [`task:${task}`],
    )
  }

  describe('run', () => {
    it('hands over nothing at first, returns what the worker returns, and leaves no checkpoints', async () => {
      const task = fresh()
      const result = await state.checkpoints.run(task, {}, async ({ resumed, save }) => {
        expect(resumed).toBeUndefined()
        expect(save).toBeTypeOf('function')
        return 42
      })
      expect(result).toBe(42)
      await state.checkpoints.run<number, void>(task, {}, async (running) => {
        await running.save(50, 1)
        expect(await sequences(task)).toStrictEqual([1])
      })
      expect(await sequences(task)).toStrictEqual([])
    })

    it('resumes from the last checkpoint of a worker that threw', async () => {
      const task = fresh()
      const steps: number[] = []
      const worker = (failingStep: number) => async (running: Task<{ step: number }>) => {
        for (let step = running.resumed?.data.step ?? 0; step < 6; step++) {
          if (step === failingStep) throw crash
          steps.push(step)
          await running.save((100 * (step + 1)) / 6, { step: step + 1 })
        }
        return 'done'
      }
      await expect(state.checkpoints.run(task, {}, worker(2))).rejects.toBe(crash)
      expect(await sequences(task)).toStrictEqual([1, 2])
      await expect(other.checkpoints.run(task, {}, worker(5))).rejects.toBe(crash)
      expect(await sequences(task)).toStrictEqual([1, 2, 3, 4, 5])
      expect(await state.checkpoints.run(task, {}, worker(-1))).toBe('done')
      expect(steps).toStrictEqual([0, 1, 2, 3, 4, 5])
      expect(await sequences(task)).toStrictEqual([])
    })

    it('keeps the checkpoints after success when asked to, and at most maxPerTask meanwhile', async () => {
      const task = fresh()
      await state.checkpoints.run<number, void>(task, { keep: true, maxPerTask: 2 }, async (running) => {
        for (const step of [1, 2, 3, 4]) await running.save(step, step)
        expect(await sequences(task)).toStrictEqual([3, 4])
      })
      expect(await sequences(task)).toStrictEqual([3, 4])
      await state.checkpoints.run<number, void>(task, {}, async ({ resumed }) => {
        expect(resumed).toMatchObject({ id: `${task}:4`, taskId: task, sequence: 4, progress: 4, data: 4 })
      })
      expect(await sequences(task)).toStrictEqual([])
    })

    it('saves a checkpoint with the work of a transaction, or neither', async () => {
      const task = fresh()
      const database = drizzle(pool)
      const run = state.checkpoints.run<number, void>(task, {}, async (running) => {
        for (const step of [1, 2]) {
          await database.transaction(async (tx) => {
            await tx.execute(`insert into work values (${step})`)
            await running.save(50 * step, step, { tx })
            if (step === 2) throw crash
          })
        }
      })
      await expect(run).rejects.toBe(crash)
      expect((await state.loadLatest(task))?.data).toBe(1)
      const [rows] = await pool.query('select step from work')
      expect(rows).toStrictEqual([{ step: 1 }])
    })

    it('refuses options it does not know', async () => {
      const run = state.checkpoints.run(fresh(), { evry: 5 } as never, async () => {})
      await expect(run).rejects.toBeInstanceOf(InvalidArgumentError)
      for (const every of [-1, Number.NaN]) {
        await expect(state.checkpoints.run(fresh(), { every }, async () => {})).rejects.toBeInstanceOf(
          InvalidArgumentError,
        )
      }
    })
  })

  describe('report', () => {
    it('saves at most once per interval, and the last one when the worker throws', async () => {
      const task = fresh()
      const run = state.checkpoints.run<number, void>(task, { every: 60_000 }, async (running) => {
        for (const step of [1, 2, 3]) await running.report(step, step)
        expect(await sequences(task)).toStrictEqual([])
        throw crash
      })
      await expect(run).rejects.toBe(crash)
      expect(await state.list(task)).toMatchObject([{ sequence: 1, progress: 3, data: 3 }])
    })

    it('saves the last one after success when the checkpoints are kept', async () => {
      const task = fresh()
      await state.checkpoints.run<number, void>(task, { every: 60_000, keep: true }, async (running) => {
        await running.save(10, 1)
        await running.report(100, 2)
      })
      expect((await state.list(task)).map(({ data }) => data)).toStrictEqual([1, 2])
    })

    it('saves every one without an interval, and one per interval with it', async () => {
      const task = fresh()
      await state.checkpoints.run<number, void>(task, { every: 0 }, async (running) => {
        for (const step of [1, 2, 3]) await running.report(step, step)
        expect(await sequences(task)).toStrictEqual([1, 2, 3])
      })
      await state.checkpoints.run<number, void>(task, { every: 100 }, async (running) => {
        for (let step = 0; step < 30; step++) {
          await running.report(step, step)
          await sleep(10)
        }
        const saved = (await sequences(task)).length
        expect(saved).toBeGreaterThanOrEqual(1)
        expect(saved).toBeLessThan(10)
      })
    })
  })

  describe('progress', () => {
    it('is told after each save, and to a watcher elsewhere until the task is done', async () => {
      const task = fresh()
      const told: TaskProgress[] = []
      const watched: TaskProgress[] = []
      const watch = async () => {
        for await (const progress of other.checkpoints.watch(task, { every: 15 })) watched.push(progress)
      }
      const watching = watch()
      await state.checkpoints.run<string, void>(
        task,
        { onProgress: (progress) => told.push(progress) },
        async (running) => {
          for (const progress of [12.5, 50, 100]) {
            await running.save(progress, 'x')
            await sleep(150)
          }
        },
      )
      await watching
      expect(told.map(({ taskId, sequence, progress }) => [taskId, sequence, progress])).toStrictEqual([
        [task, 1, 12.5],
        [task, 2, 50],
        [task, 3, 100],
      ])
      expect(watched).toStrictEqual(told)
    })

    it('comes with a plausible estimate of the remaining time', async () => {
      const task = fresh()
      const begun = performance.now()
      const estimate = async (running: Task<null>, progress: number) => {
        await running.save(progress, null)
        return (await state.loadLatest(task))?.estimatedTimeRemaining
      }
      const run = state.checkpoints.run<null, void>(task, {}, async (running) => {
        await sleep(200)
        const remaining = await estimate(running, 25)
        // A quarter took at least 200 ms, and at most the time since the beginning.
        expect(remaining).toBeGreaterThanOrEqual(3 * 190)
        expect(remaining).toBeLessThanOrEqual(3 * (performance.now() - begun))
        expect(await estimate(running, 100)).toBe(0)
        expect(await estimate(running, 0)).toBeUndefined()
        await running.save(80, null)
        throw crash
      })
      await expect(run).rejects.toBe(crash)
      const resumedAt = performance.now()
      await state.checkpoints.run<null, void>(task, {}, async (running) => {
        await sleep(100)
        // This run did 10 of the 20 per cent that were left.
        const remaining = await estimate(running, 90)
        expect(remaining).toBeGreaterThanOrEqual(90)
        expect(remaining).toBeLessThanOrEqual(performance.now() - resumedAt)
      })
    })

    it('ends the watching with the reason of its signal', async () => {
      const stop = new AbortController()
      const reason = new Error('enough')
      const task = fresh()
      await state.save({ id: task, taskId: task, sequence: 7, timestamp: 1, progress: 1, data: null })
      const watching = other.checkpoints.watch(task, { every: 60_000, signal: stop.signal })
      expect((await watching.next()).value).toStrictEqual({ taskId: task, sequence: 7, timestamp: 1, progress: 1 })
      setTimeout(() => stop.abort(reason), 30)
      await expect(watching.next()).rejects.toBe(reason)
    })
  })

  describe('two runners', () => {
    it('take turns: the second waits, and goes on where the first one threw', async () => {
      const task = fresh()
      const log: string[] = []
      const first = state.checkpoints.run<number, void>(task, {}, async (running) => {
        await running.save(10, 1)
        log.push('first begins')
        await sleep(200)
        log.push('first ends')
        throw crash
      })
      first.catch(() => {})
      while (log.length === 0) await sleep(5)
      await other.checkpoints.run<number, void>(task, {}, async ({ resumed }) => {
        log.push(`second resumes from ${resumed?.data}`)
      })
      await expect(first).rejects.toBe(crash)
      expect(log).toStrictEqual(['first begins', 'first ends', 'second resumes from 1'])
    })

    it('give up with ContentionError when the wait is over, without a call of the worker', async () => {
      const task = fresh()
      await state.checkpoints.run(task, {}, async () => {
        for (const wait of [0, 60]) {
          const late = other.checkpoints.run(task, { lock: { wait } }, () => expect.unreachable())
          await expect(late).rejects.toBeInstanceOf(ContentionError)
        }
        // Another task is free, and so is a lock of the same name.
        expect(await other.checkpoints.run(fresh(), { lock: { wait: 0 } }, async () => 'free')).toBe('free')
        const lock = await other.acquire(task, 1_000)
        expect(lock).not.toBeNull()
        await lock?.release()
      })
    })
  })

  describe('the signal', () => {
    it('reaches the worker, whose checkpoints stay', async () => {
      const task = fresh()
      const stop = new AbortController()
      const reason = new Error('shutting down')
      const run = state.checkpoints.run<number, void>(task, { signal: stop.signal }, async (running) => {
        await running.report(50, 5)
        setTimeout(() => stop.abort(reason), 30)
        if (!running.signal.aborted) await once(running.signal, 'abort')
        running.signal.throwIfAborted()
      })
      await expect(run).rejects.toBe(reason)
      expect((await state.loadLatest(task))?.data).toBe(5)
      // The lease is free again at once.
      expect(
        await other.checkpoints.run<number, unknown>(task, { lock: { wait: 0 } }, async (next) => next.resumed?.data),
      ).toBe(5)
    })

    it('ends the waiting for the lease', async () => {
      const task = fresh()
      const stop = new AbortController()
      const reason = new Error('shutting down')
      await state.checkpoints.run(task, {}, async () => {
        setTimeout(() => stop.abort(reason), 30)
        const waiting = other.checkpoints.run(task, { signal: stop.signal, lock: { wait: 30_000 } }, () =>
          expect.unreachable(),
        )
        await expect(waiting).rejects.toBe(reason)
      })
    })
  })

  it('leave nothing on a signal that outlives them', async () => {
    const task = fresh()
    const stop = new AbortController()
    const { signal } = stop
    const onAbort = vi.fn()
    const run = () =>
      state.checkpoints.run<number, void>(task, { signal, keep: true }, async (running) => {
        running.signal.addEventListener('abort', onAbort)
        await running.save(50, 1)
      })
    await Promise.all([run(), run()])
    for await (const _ of state.checkpoints.watch(task, { every: 10, signal })) await state.deleteAll(task)
    const failing = state.checkpoints.run(task, { signal }, () => Promise.reject(crash))
    await expect(failing).rejects.toBe(crash)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    // What is called now would have been kept until now.
    stop.abort()
    expect(onAbort).not.toHaveBeenCalled()
  })

  it('leaves the only connection of the pool to the worker', async () => {
    const task = fresh()
    const single = context.pool({ connectionLimit: 1 })
    const alone = new MySQLAdapter(single, { timeout: 3_000 })
    await alone.checkpoints.run<number, void>(task, { lock: { ttl: 2_000 } }, async (running) => {
      for (const step of [1, 2, 3]) {
        await drizzle(single).transaction(async (tx) => {
          await tx.execute('select 1')
          await running.save(step, step, { tx })
        })
      }
      await running.report(4, 4)
      await alone.set(task, 1)
    })
    expect(await alone.loadLatest(task)).toBeUndefined()
  })

  describe('a run that lost its lease', () => {
    /** Runs a worker that loses its lease to a successor after its first save, and then does what `zombie` says. */
    async function overtaken(task: string, zombie: (running: Task<string>) => Promise<void>, ttl = 30_000) {
      let goOn = () => {}
      const resumed = new Promise<void>((resolve) => {
        goOn = resolve
      })
      const run = state.checkpoints.run<string, void>(task, { lock: { ttl } }, async (running) => {
        await running.save(10, 'of the zombie')
        await forceRelease(task)
        await resumed
        await zombie(running)
      })
      run.catch(() => {})
      while ((await state.loadLatest(task)) === undefined) await sleep(5)
      let failure: unknown
      const successor = other.checkpoints.run<string, void>(task, { keep: true }, async (running) => {
        expect(running.resumed?.data).toBe('of the zombie')
        goOn()
        failure = await run.catch((error: unknown) => error)
        expect((await state.list(task)).map(({ data }) => data)).toStrictEqual(['of the zombie'])
        await running.save(20, 'of the successor')
      })
      await successor
      expect((await state.list(task)).map(({ data }) => data)).toStrictEqual(['of the zombie', 'of the successor'])
      return failure
    }

    it('cannot save any more', async () => {
      const failure = await overtaken(fresh(), (running) => running.save(99, 'late'))
      expect(failure).toBeInstanceOf(LockLostError)
    })

    it('cannot commit any more', async () => {
      const failure = await overtaken(fresh(), (running) =>
        drizzle(pool).transaction(async (tx) => {
          await tx.execute('insert into work values (1000)')
          await running.save(99, 'late', { tx })
        }),
      )
      expect(failure).toBeInstanceOf(LockLostError)
      const [rows] = await pool.query('select step from work where step = 1000')
      expect(rows).toStrictEqual([])
    })

    it('throws LockLostError although its worker returns, and leaves what its successor resumes from', async () => {
      expect(await overtaken(fresh(), async () => {})).toBeInstanceOf(LockLostError)
    })

    it('throws LockLostError although its worker reported more before it returned', async () => {
      expect(await overtaken(fresh(), (running) => running.report(100, 'late'))).toBeInstanceOf(LockLostError)
    })

    it('hears of it by its signal', async () => {
      const task = fresh()
      const listens = async (running: Task<string>) => {
        if (!running.signal.aborted) await once(running.signal, 'abort')
        expect(running.signal.reason).toBeInstanceOf(LockLostError)
      }
      expect(await overtaken(task, listens, 300)).toBeInstanceOf(LockLostError)
    })

    it('throws LockLostError although nobody took over, and leaves its checkpoints to the next', async () => {
      for (const keep of [false, true]) {
        const task = fresh()
        const run = state.checkpoints.run<string, void>(task, { keep }, async (running) => {
          await running.save(10, 'half')
          await forceRelease(task)
        })
        await expect(run).rejects.toBeInstanceOf(LockLostError)
        expect((await state.loadLatest(task))?.data).toBe('half')
      }
    })
  })
})
