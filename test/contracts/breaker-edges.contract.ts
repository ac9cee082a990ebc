import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type CircuitBreaker, type CircuitBreakerOptions, type CircuitTransition, MySQLAdapter } from 'goscope-mysql'
import { createPool, type Pool, type PoolOptions } from 'mysql2/promise'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { TcpProxy } from '../support/tcp-proxy.js'

onEveryServer('edges of circuit breakers', (context) => {
  let here: MySQLAdapter

  beforeAll(async () => {
    here = await context.adapter()
  })

  const down = new Error('the service is down')
  const works = () => 'answer'
  const fails = () => Promise.reject(down)
  const failTimes = async (breaker: CircuitBreaker, times: number) => {
    for (let call = 0; call < times; call++) await expect(breaker.execute(fails)).rejects.toBe(down)
  }

  it('a reset forgets what was counted before anything was stored', async () => {
    const breaker = here.circuits.breaker('reset early', { failureRateThreshold: 50, minimumNumberOfCalls: 4 })
    await failTimes(breaker, 3)
    await breaker.reset()
    await failTimes(breaker, 3)
    expect(await breaker.refresh()).toBe('closed')
  })

  it.each([
    'null',
    '[]',
    '5',
    '"text"',
    '{"a":null,"b":{"at":"x"},"c":7}',
    '{"a":{"at":1,"counts":[[1,2]]}}',
    'nonsense',
  ])('reports of %s in the table harm nobody', async (reports) => {
    const key = `reports ${reports}`
    const [breaker, other] = [here, await context.adapter()].map(({ circuits }) =>
      circuits.breaker(key, { failureRateThreshold: 50, minimumNumberOfCalls: 4, slidingWindow: 60_000 }),
    ) as [CircuitBreaker, CircuitBreaker]
    await failTimes(breaker, 1)
    await breaker.refresh()
    await context.admin.query('update go_goscope_circuit set reports = ? where `key` = ?', [reports, `circuit:${key}`])
    await failTimes(breaker, 2)
    await breaker.refresh()
    await failTimes(other, 1)
    expect(await other.refresh()).toBe('open')
    expect(await breaker.refresh()).toBe('open')
  })

  it('a circuit that was not used for long is reported like any other, among very many', async () => {
    const adapter = await context.adapter()
    const options = { failureRateThreshold: 50, slidingWindow: 100, refreshInterval: 100 }
    const breaker = adapter.circuits.breaker('one of many', options)
    await failTimes(breaker, 1)
    await breaker.refresh()
    await sleep(300)
    for (let index = 0; index < 1_100; index++) adapter.circuits.breaker(`one of many ${index}`, options)
    await failTimes(breaker, 2)
    await adapter.disconnect()
    expect(await here.getState('one of many')).toMatchObject({ failureCount: 2 })
  })

  it('counts of threads, which share their process’s name, add up', async () => {
    const thread = `
      const { workerData } = require('node:worker_threads')
      import('goscope-mysql').then(async ({ MySQLAdapter }) => {
        const state = new MySQLAdapter(workerData)
        const breaker = state.circuits.breaker('threads', { failureThreshold: 10 })
        for (let call = 0; call < 3; call++) await breaker.execute(() => Promise.reject('down')).catch(() => {})
        await state.disconnect()
      })`
    const threads = [1, 2].map(() => new Worker(thread, { eval: true, workerData: context.url }))
    await Promise.all(threads.map((worker) => once(worker, 'exit')))
    expect(await here.getState('threads')).toMatchObject({ state: 'closed', failureCount: 6 })
  })

  describe('when an answer of the database is lost', () => {
    let proxy: TcpProxy
    let pool: Pool
    let far: MySQLAdapter

    beforeEach(async () => {
      proxy = await TcpProxy.start(context.url)
      pool = createPool({ uri: proxy.url })
      far = new MySQLAdapter(pool)
    })

    afterEach(async () => {
      await far.disconnect()
      await pool.end()
      await proxy.stop()
    })

    const refreshedRarely = { refreshInterval: 60_000 }

    it('failures are counted once', async () => {
      const breaker = far.circuits.breaker('lost report', { failureThreshold: 5, ...refreshedRarely })
      await failTimes(breaker, 1)
      await breaker.refresh()
      proxy.disturb('the service is down', 'lose answer')
      await failTimes(breaker, 2)
      expect(await breaker.refresh()).toBe('closed')
      expect(proxy.isDone).toBe(true)
      expect(await here.getState('lost report')).toMatchObject({ state: 'closed', failureCount: 3 })
    })

    it('failures are counted once, however often it is lost', async () => {
      const breaker = far.circuits.breaker('lost reports', { failureThreshold: 5, ...refreshedRarely })
      await failTimes(breaker, 1)
      await breaker.refresh()
      for (let times = 0; times < 4; times++) proxy.disturb('the service is down', 'lose answer')
      await failTimes(breaker, 2)
      await expect.poll(() => proxy.isDone).toBe(true)
      await breaker.refresh()
      await failTimes(breaker, 1)
      expect(await breaker.refresh()).toBe('closed')
      expect(await here.getState('lost reports')).toMatchObject({ state: 'closed', failureCount: 4 })
    })

    it('a successful probe is counted once', async () => {
      const key = 'lost probe'
      const breaker = far.circuits.breaker(key, {
        failureThreshold: 1,
        resetTimeout: 50,
        successThreshold: 2,
        ...refreshedRarely,
      })
      await failTimes(breaker, 1)
      await breaker.refresh()
      await sleep(100)
      await breaker.execute(() => proxy.disturb(`circuit:${key}`, 'lose answer'))
      expect(proxy.isDone).toBe(true)
      expect(await here.getState(key)).toMatchObject({ state: 'half-open' })
    })

    it('the opening is told all the same', async () => {
      const told: CircuitTransition[] = []
      const breaker = far.circuits.breaker('lost look', {
        failureThreshold: 1,
        onTransition: (transition) => told.push(transition),
        ...refreshedRarely,
      })
      await breaker.execute(works)
      await breaker.refresh()
      // A report, a look and the opening.
      proxy.disturb('circuit:lost look', 'cut', 3)
      for (let times = 0; times < 20; times++) proxy.disturb('circuit:lost look', 'cut')
      await failTimes(breaker, 1)
      await expect.poll(() => here.getState('lost look')).toMatchObject({ state: 'open' })
      await expect.poll(() => told.map(({ from, to }) => `${from} to ${to}`)).toEqual(['closed to open'])
    })

    it('calls that began before the first look count', async () => {
      const key = 'first look'
      await here.setState(key, { state: 'open', failureCount: 1 })
      await here.setState(key, { state: 'closed', failureCount: 0 })
      const breaker = far.circuits.breaker(key, { failureThreshold: 5, refreshInterval: 100 })
      let begun = 0
      let fail: () => void = () => {}
      const failing = new Promise<never>((_, reject) => {
        fail = () => reject(down)
      })
      failing.catch(() => {})
      proxy.hang()
      const calls = Array.from({ length: 3 }, () =>
        breaker.execute(() => {
          begun++
          return failing
        }),
      )
      await expect.poll(() => begun, { timeout: 5_000 }).toBe(3)
      proxy.resume()
      await breaker.refresh()
      fail()
      await Promise.allSettled(calls)
      await breaker.refresh()
      expect(await here.getState(key)).toMatchObject({ failureCount: 3 })
    })
  })

  const settings: [string, PoolOptions, string | undefined][] = [
    ['FOUND_ROWS off', { flags: ['-FOUND_ROWS'] }, undefined],
    [
      'rows as arrays, numbers as strings',
      { rowsAsArray: true, bigNumberStrings: true, supportBigNumbers: true },
      undefined,
    ],
    ['autocommit off', {}, 'set autocommit = 0'],
    ['another zone', { timezone: '-08:00' }, "set time_zone = '+13:00'"],
    ['a clock that stands still', {}, 'set timestamp = 1000000000'],
    ['no sql_mode', {}, "set sql_mode = ''"],
    ['other quotes', {}, "set sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'"],
    ['serializable transactions', {}, 'set session transaction isolation level serializable'],
    ['an earlier LAST_INSERT_ID', {}, 'set last_insert_id = 1'],
  ]
  if (context.server.family === 'mariadb') {
    settings.push(['simultaneous assignments', {}, "set sql_mode = 'SIMULTANEOUS_ASSIGNMENT'"])
  }

  it.each(settings)('a pool with %s makes no difference', async (name, poolOptions, session) => {
    const pool = context.pool({ connectionLimit: 2, ...poolOptions })
    let refused: Error | null = null
    if (session !== undefined) {
      pool.pool.on('connection', (connection) =>
        connection.query(session, (error) => {
          refused = error
        }),
      )
    }
    const adapter = new MySQLAdapter(pool)
    const told: string[] = []
    const options: CircuitBreakerOptions = {
      failureThreshold: 3,
      resetTimeout: 60,
      refreshInterval: 60_000,
      successThreshold: 2,
    }
    const breaker = adapter.circuits.breaker(name, {
      ...options,
      onTransition: ({ from, to }) => told.push(`${from} to ${to}`),
    })
    const other = here.circuits.breaker(name, options)
    await failTimes(breaker, 2)
    await breaker.refresh()
    expect(await here.getState(name)).toMatchObject({ state: 'closed', failureCount: 2 })
    await failTimes(breaker, 1)
    await breaker.refresh()
    expect(await other.refresh()).toBe('open')
    await sleep(100)
    await failTimes(breaker, 1)
    expect(await here.getState(name)).toMatchObject({ state: 'open', failureCount: 4 })
    await sleep(100)
    await breaker.execute(works)
    expect(await other.refresh()).toBe('half-open')
    await breaker.execute(works)
    expect(await here.getState(name)).toMatchObject({ state: 'closed', failureCount: 0 })
    expect(told).toEqual([
      'closed to open',
      'open to half-open',
      'half-open to open',
      'open to half-open',
      'half-open to closed',
    ])
    await breaker.isolate()
    expect(await other.refresh()).toBe('open')
    await breaker.reset()
    expect(await other.refresh()).toBe('closed')
    expect((await here.circuits.list({ prefix: name })).find(({ key }) => key === name)?.failures).toHaveLength(4)
    expect(refused).toBeNull()
    await adapter.disconnect()
  })
})
