import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import {
  type ErrorCode,
  MySQLAdapter,
  type MySQLAdapterOptions,
  MySQLIdempotencyAdapter,
  PersistenceError,
  UnavailableError,
} from 'goscope-mysql'
import { createPool, type Pool, type PoolOptions } from 'mysql2/promise'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { TcpProxy } from '../support/tcp-proxy.js'

/** What a call threw, and how long that took. */
async function failureOf(work: () => Promise<unknown>): Promise<{ error: PersistenceError; took: number }> {
  const start = performance.now()
  const error: unknown = await work().then(
    (value) => value,
    (thrown) => thrown,
  )
  const took = performance.now() - start
  expect(error).toBeInstanceOf(PersistenceError)
  return { error: error as PersistenceError, took }
}

function expectUnavailable(error: PersistenceError, operation: string): void {
  expect(error).toBeInstanceOf(UnavailableError)
  expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, operation })
  expect(error.cause).toBeInstanceOf(Error)
}

const checkpoint = (id: string, data: unknown) => ({
  id,
  taskId: `task of ${id}`,
  sequence: 1,
  timestamp: 1,
  progress: 1,
  data,
})

/** Every operation that asks the database, by its name. */
const operations: Record<string, (state: MySQLAdapter, key: string, value: unknown) => Promise<unknown>> = {
  acquire: (state, key) => state.acquire(key, 10_000, key),
  extend: (state, key) => state.extend(key, 10_000, key),
  forceRelease: (state, key) => state.forceRelease(key),
  setState: (state, key) => state.setState(key, { state: 'closed', failureCount: 0 }),
  recordFailure: (state, key, value) => state.recordFailure(key, 3, String(value)),
  getState: (state, key) => state.getState(key),
  recordSuccess: (state, key) => state.recordSuccess(key),
  set: (state, key, value) => state.set(key, value, 10_000),
  get: (state, key) => state.get(key),
  has: (state, key) => state.has(key),
  keys: (state, key) => state.keys(key),
  delete: (state, key) => state.delete(key),
  save: (state, key, value) => state.save(checkpoint(key, value)),
  load: (state, key) => state.load(key),
  loadLatest: (state, key) => state.loadLatest(`task of ${key}`),
  list: (state, key) => state.list(`task of ${key}`),
  cleanup: (state, key) => state.cleanup(`task of ${key}`, 1),
  deleteAll: (state, key) => state.deleteAll(`task of ${key}`),
}

/** An address where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

onEveryServer('faults', (context) => {
  let state: MySQLAdapter

  beforeAll(async () => {
    state = await context.adapter()
  })

  describe('a pool of one connection', () => {
    it('serves many operations of all kinds at once', async () => {
      const single = new MySQLAdapter(context.pool({ connectionLimit: 1 }))
      await single.connect()
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, index) => index).flatMap((index) => [
          single.acquire(`pool of one ${index % 10}`, 10_000, `owner ${index}`),
          single.recordFailure('pool of one', 1_000),
          single.set(`pool of one ${index}`, index).then(() => single.get(`pool of one ${index}`)),
          single
            .save(checkpoint(`pool of one ${index}`, index))
            .then(() => single.list(`task of pool of one ${index}`)),
          single.keys('pool of one *'),
        ]),
      )
      const every = (offset: number) => results.filter((_, index) => index % 5 === offset)
      expect(every(0).filter((lock) => lock !== null)).toHaveLength(10)
      expect((every(1) as number[]).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1),
      )
      expect(every(2)).toEqual(Array.from({ length: 20 }, (_, index) => index))
      expect(every(3).every((list) => (list as unknown[]).length === 1)).toBe(true)
      await single.clear()
    })

    it.each(['connect', 'acquire', 'get', 'recordFailure'])(
      'that somebody else holds lets %s fail when its time is up, and later calls work',
      async (operation) => {
        const pool = context.pool({ connectionLimit: 1 })
        const waiting = new MySQLAdapter(pool, { timeout: 700 })
        const connection = await pool.getConnection()
        const call = () => (operation === 'connect' ? waiting.connect() : operations[operation]?.(waiting, 'held', 1))
        const { error, took } = await failureOf(async () => call())
        expectUnavailable(error, operation)
        expect(took).toBeGreaterThan(500)
        expect(took).toBeLessThan(1_900)
        connection.release()
        await call()
        expect(await waiting.get('nothing')).toBeNull()
      },
    )
  })

  describe('a server that cannot be reached', () => {
    it('is reported as such, soon', async () => {
      const url = new URL(context.url)
      url.port = String(await closedPort())
      const away = new MySQLAdapter(context.pool({ uri: url.href }))
      const calls: typeof operations = { connect: (adapter) => adapter.connect(), ...operations }
      for (const [operation, call] of Object.entries(calls)) {
        const { error, took } = await failureOf(() => call(away, 'key', 1))
        expectUnavailable(error, operation)
        expect(took).toBeLessThan(5_000)
      }
      expect(away.isConnected()).toBe(false)
      await away.disconnect()
    })

    it('is reported as such in time when it accepts connections and never answers', async () => {
      const sockets: Socket[] = []
      const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const url = new URL(context.url)
      url.port = String((server.address() as AddressInfo).port)
      const silent = new MySQLAdapter(url.href, { timeout: 700 })
      for (const operation of ['acquire', 'get']) {
        const { error, took } = await failureOf(async () => operations[operation]?.(silent, 'key', 1))
        expectUnavailable(error, operation)
        expect(took).toBeLessThan(1_900)
      }
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
      await silent.disconnect()
    })
  })

  describe('connections that are killed', () => {
    it('bring no wrong answer, only retryable errors, and few of them', async () => {
      const threads = new Set<number>()
      const pool = context.pool({ connectionLimit: 4 })
      pool.on('connection', (connection) => threads.add((connection as unknown as { threadId: number }).threadId))
      const killed = new MySQLAdapter(pool, { keyPrefix: 'killed:' })
      await killed.connect()
      let kills = 0
      let isOver = false
      const killing = (async () => {
        while (!isOver) {
          await pause(15)
          const victims = [...threads]
          const victim = victims[Math.floor(Math.random() * victims.length)]
          if (victim === undefined) continue
          threads.delete(victim)
          // 1094: it is gone already.
          await context.admin.query(`kill ${victim}`).then(
            () => kills++,
            (error) => expect(error).toMatchObject({ errno: 1094 }),
          )
        }
      })()
      let done = 0
      const failures: unknown[] = []
      const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
        try {
          const result = await work()
          done++
          return result
        } catch (error) {
          failures.push(error)
          return undefined
        }
      }
      const end = performance.now() + 1_500
      const workers = Array.from({ length: 6 }, async (_, worker) => {
        const key = `worker ${worker}`
        let failuresSeen = 0
        for (let round = 1; performance.now() < end; round++) {
          if (await attempt(() => killed.set(key, round).then(() => true))) {
            const found = await attempt(() => killed.get(key))
            if (found !== undefined) expect(found).toBe(round)
          }
          const lock = await attempt(() => killed.acquire(key, 60_000, key))
          expect(lock, 'the own lock').not.toBeNull()
          const valid = lock && (await attempt(() => lock.isValid()))
          if (valid !== undefined) expect(valid).toBe(true)
          if (lock) await attempt(() => lock.release())
          const count = await attempt(() => killed.recordFailure(key, 1_000_000))
          if (count !== undefined) {
            expect(count).toBeGreaterThan(failuresSeen)
            failuresSeen = count
          }
          if (await attempt(() => killed.save({ ...checkpoint(key, round), sequence: round }).then(() => true))) {
            const latest = await attempt(() => killed.loadLatest(`task of ${key}`))
            if (latest !== undefined) expect(latest.data).toBe(round)
          }
        }
        return failuresSeen
      })
      try {
        await Promise.all(workers)
      } finally {
        isOver = true
        await killing
      }
      expect(kills).toBeGreaterThan(10)
      for (const error of failures) {
        expect(error).toBeInstanceOf(PersistenceError)
        expect(error).toMatchObject({ retryable: true })
      }
      expect(done).toBeGreaterThan(100)
      const repeatable = failures.filter((error) => (error as PersistenceError).operation !== 'recordFailure')
      expect(repeatable.length).toBeLessThan(done / 20)
    })
  })

  describe('a connection that breaks', () => {
    let proxy: TcpProxy
    let pool: Pool
    let far: MySQLAdapter

    const reach = (options: MySQLAdapterOptions = {}, poolOptions: PoolOptions = {}) => {
      pool = createPool({ uri: proxy.url, ...poolOptions })
      far = new MySQLAdapter(pool, options)
    }

    beforeEach(async () => {
      proxy = await TcpProxy.start(context.url)
      reach()
    })

    afterEach(async () => {
      await far.disconnect()
      await pool.end()
      await proxy.stop()
    })

    it('after the grant of a lock finds the own grant again', async () => {
      proxy.disturb('lock:lost grant', 'lose answer')
      const lock = await far.acquire('lost grant', 30_000)
      expect(proxy.isDone).toBe(true)
      expect(lock).not.toBeNull()
      expect(await lock?.isValid()).toBe(true)
      expect(await state.acquire('lost grant', 30_000)).toBeNull()
      await lock?.release()
      const next = await state.acquire('lost grant', 30_000)
      expect(next?.fence).toBeGreaterThan(lock?.fence ?? Number.POSITIVE_INFINITY)
    })

    it('after the release of a lock releases it once', async () => {
      const lock = await far.acquire('lost release', 30_000)
      proxy.disturb('lock:lost release', 'lose answer')
      await lock?.release()
      expect(proxy.isDone).toBe(true)
      const next = await state.acquire('lost release', 30_000)
      expect(next).not.toBeNull()
      await lock?.release()
      expect(await next?.isValid()).toBe(true)
    })

    it('after an extension of a lock reports it all the same', async () => {
      const lock = await far.acquire('lost extension', 30_000)
      proxy.disturb('lock:lost extension', 'lose answer')
      expect(await lock?.extend(60_000)).toBe(true)
      expect(proxy.isDone).toBe(true)
      expect(lock?.remaining).toBeGreaterThan(30_000)
    })

    it('after a failure was recorded does not count it twice', async () => {
      proxy.disturb('circuit:lost failure', 'lose answer')
      const { error } = await failureOf(() => far.recordFailure('lost failure', 3))
      expect(proxy.isDone).toBe(true)
      expectUnavailable(error, 'recordFailure')
      expect((await state.getState('lost failure'))?.failureCount).toBe(1)
    })

    it.each(['cut', 'lose answer'] as const)('(%s) under any repeatable operation is not noticed', async (fault) => {
      for (const [name, operation] of Object.entries(operations)) {
        if (name === 'recordFailure') continue
        const key = `${fault} ${name}`
        for (const prepare of ['acquire', 'set', 'save', 'setState']) await operations[prepare]?.(state, key, { name })
        const expected = name === 'acquire' ? expect.anything() : await operations[name]?.(state, key, { name })
        proxy.disturb(key, fault)
        expect(await operation(far, key, { name }), name).toEqual(expected)
        expect(proxy.isDone, name).toBe(true)
      }
    })

    it('before a failure was recorded throws a retryable error, or counts it once', async () => {
      proxy.disturb('circuit:cut failure', 'cut')
      const outcome = await far.recordFailure('cut failure', 3).catch((error) => error)
      expect(proxy.isDone).toBe(true)
      if (typeof outcome !== 'number') expectUnavailable(outcome, 'recordFailure')
      const stored = await state.getState('cut failure')
      expect(stored?.failureCount ?? 0).toBe(typeof outcome === 'number' ? 1 : 0)
    })

    it('under connect() is not noticed', async () => {
      proxy.disturb('information_schema', 'cut')
      await far.connect()
      expect(proxy.isDone).toBe(true)
      expect(far.isConnected()).toBe(true)
    })
  })

  describe('a statement that gets no answer', () => {
    it.each(['get', 'recordFailure', 'acquire'])(
      'fails in time, and nobody meets its late answer (%s)',
      async (operation) => {
        const proxy = await TcpProxy.start(context.url)
        const pool = createPool({ uri: proxy.url, connectionLimit: 1 })
        const far = new MySQLAdapter(pool, { timeout: 700 })
        try {
          await state.set('the next', 'right')
          await state.set(`stalled ${operation}`, 'wrong')
          await far.get('warm')
          const opened = proxy.connections
          proxy.disturb(`stalled ${operation}`, 'stall')
          const { error, took } = await failureOf(async () => operations[operation]?.(far, `stalled ${operation}`, 1))
          expect(proxy.isDone).toBe(true)
          expectUnavailable(error, operation)
          expect(took).toBeGreaterThan(500)
          expect(took).toBeLessThan(1_900)
          const next = far.get('the next')
          proxy.deliver()
          expect(await next).toBe('right')
          expect(await far.get('the next')).toBe('right')
          expect(proxy.connections).toBeGreaterThan(opened)
        } finally {
          await far.disconnect()
          await pool.end()
          await proxy.stop()
        }
      },
    )
  })

  describe('errors', () => {
    const secret = 'hunter2'

    /** Nothing that shows an error shows the secret. */
    function expectNoSecret(error: PersistenceError): void {
      const shown = [inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })]
      for (let link: unknown = error; link instanceof Error; link = link.cause) {
        shown.push(
          String(link),
          link.stack ?? '',
          JSON.stringify(link),
          JSON.stringify(Object.getOwnPropertyDescriptors(link)),
        )
      }
      for (const text of shown) expect(text).not.toContain(secret)
    }

    async function withTable<T>(ddl: string, work: () => Promise<T>): Promise<T> {
      const table = /go_goscope_\w+/.exec(ddl)?.[0] ?? ''
      await context.admin.query(`drop table ${table}`)
      await state.connect()
      await context.admin.query(ddl)
      try {
        return await work()
      } finally {
        await context.admin.query(`drop table if exists ${table}`)
        await state.connect()
      }
    }

    const cases: [string, string, keyof typeof operations, ErrorCode][] = [
      ['a dropped table of locks', 'drop table go_goscope_locks', 'acquire', 'SCHEMA'],
      ['a dropped table of circuits', 'drop table go_goscope_circuit', 'recordFailure', 'SCHEMA'],
      ['a dropped table of values', 'drop table go_goscope_cache', 'set', 'SCHEMA'],
      ['a dropped table of checkpoints', 'drop table go_goscope_checkpoints', 'save', 'SCHEMA'],
      ['a missing column', 'alter table go_goscope_cache drop column expires_at', 'set', 'SCHEMA'],
      ['a column that is too narrow', 'alter table go_goscope_cache modify value varchar(5) not null', 'set', 'SCHEMA'],
      [
        'a key column that is too narrow',
        'alter table go_goscope_locks modify `key` varchar(5) not null',
        'acquire',
        'SCHEMA',
      ],
      ['a column of another type', 'alter table go_goscope_cache modify value int not null', 'set', 'SCHEMA'],
      ['an owner of another type', 'alter table go_goscope_locks modify owner int null', 'acquire', 'SCHEMA'],
      [
        'a column of another character set',
        'alter table go_goscope_cache modify value text character set ascii not null',
        'set',
        'SCHEMA',
      ],
      [
        'a check of somebody else',
        "alter table go_goscope_cache add constraint mine check (value not like '%hunter2%')",
        'set',
        'QUERY',
      ],
      [
        'a trigger of somebody else',
        "create trigger mine before insert on go_goscope_cache for each row signal sqlstate '45000' set message_text = 'no'",
        'set',
        'QUERY',
      ],
    ]

    it.each(cases)('of %s tell what failed, and no value', async (_name, ddl, operation, code) => {
      const key = `${secret} key`
      const { error } = await withTable(ddl, () =>
        failureOf(async () => operations[operation]?.(state, key, `${secret} é value`)),
      )
      expect(error).toMatchObject({ code, retryable: false, operation })
      expect(error.message.startsWith(`${operation}: `)).toBe(true)
      expect(error.cause).toMatchObject({ errno: expect.any(Number), code: expect.stringMatching(/^(ER_|\d)/) })
      expectNoSecret(error)
    })

    it('of values that cannot be stored show no value', async () => {
      const cyclic: Record<string, unknown> = { secret }
      cyclic.self = cyclic
      const [rows] = await context.admin.query('select @@max_allowed_packet as limited')
      const limit = Number((rows as { limited: number }[])[0]?.limited)
      const idempotency = new MySQLIdempotencyAdapter(context.pool())
      const values = [
        cyclic,
        { [secret.length]: () => secret },
        Symbol(secret),
        secret.repeat(limit / secret.length + 1),
      ]
      for (const value of values) {
        const { error } = await failureOf(() => state.set('key', value))
        expect(error).toMatchObject({ code: 'SERIALIZATION', retryable: false })
        expectNoSecret(error)
      }
      const { error } = await failureOf(() => idempotency.set('key', [() => secret]))
      expect(error).toMatchObject({ code: 'SERIALIZATION' })
      expectNoSecret(error)
    })

    it('of stored values that cannot be read show no value', async () => {
      await context.admin.query(`replace into go_goscope_cache (\`key\`, value) values ('cache:broken', '{${secret}')`)
      const { error } = await failureOf(() => state.get('broken'))
      expect(error).toMatchObject({ code: 'SERIALIZATION', retryable: false })
      expectNoSecret(error)
    })

    it('of arguments show no value', async () => {
      const { error } = await failureOf(() => state.get(secret.repeat(100)))
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', retryable: false })
      expectNoSecret(error)
    })

    it('of broken connections show no value', async () => {
      const proxy = await TcpProxy.start(context.url)
      const pool = createPool({ uri: proxy.url })
      const far = new MySQLAdapter(pool, { timeout: 500 })
      try {
        for (const fault of ['cut', 'lose answer', 'stall'] as const) {
          proxy.disturb(secret, fault)
          const { error } = await failureOf(() => far.recordFailure(`${secret} ${fault}`, 3, secret))
          expectUnavailable(error, 'recordFailure')
          expectNoSecret(error)
        }
      } finally {
        await far.disconnect()
        await pool.end()
        await proxy.stop()
      }
    })

    it('of a wrong password are not worth a repetition, and do not show it', async () => {
      const url = new URL(context.url)
      url.username = 'nobody'
      url.password = secret
      const { error } = await failureOf(() => new MySQLAdapter(context.pool({ uri: url.href })).connect())
      expect(error).toMatchObject({ code: 'QUERY', retryable: false, operation: 'connect' })
      expect(error.message).toMatch(/name and password/)
      expectNoSecret(error)
    })

    it('of a missing database say so', async () => {
      const url = new URL(context.url)
      url.pathname = '/goscope_no_such_database'
      const { error } = await failureOf(() => new MySQLAdapter(context.pool({ uri: url.href })).get('key'))
      expect(error).toMatchObject({ code: 'QUERY', retryable: false, operation: 'get' })
      expect(error.message).toMatch(/create the database/)
    })
  })
})
