import { setTimeout as sleep } from 'node:timers/promises'
import { type CircuitBreaker, CircuitOpenError, MySQLAdapter } from 'goscope-mysql'
import { createPool, type Pool } from 'mysql2/promise'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { type ServerName, startServer } from '../support/servers/index.js'
import { TcpProxy } from '../support/tcp-proxy.js'

const REFRESH = 100
const options = {
  failureThreshold: 5,
  resetTimeout: 500,
  resetTimeoutFactor: 2,
  refreshInterval: REFRESH,
  probeTtl: 1_000,
}
const down = new Error('the service is down')
const works = () => 'answer'
const fails = () => Promise.reject(down)

/** How calls ended, in turn, and how long the slower ones took. */
async function callInTurn(breaker: CircuitBreaker, calls: number, call: () => unknown) {
  const outcomes: string[] = []
  const slow: number[] = []
  for (let index = 0; index < calls; index++) {
    const begin = performance.now()
    outcomes.push(await breaker.execute(call).then(String, nameOf))
    const took = performance.now() - begin
    if (took > 300) slow.push(took)
    await sleep(10)
  }
  return { outcomes, slow }
}

function nameOf(error: unknown): string {
  if (error === down) return 'down'
  return error instanceof CircuitOpenError ? 'rejected' : `unexpected: ${error}`
}

onEveryServer('breakers whose database goes away', (context) => {
  let near: MySQLAdapter
  let proxy: TcpProxy
  let pool: Pool
  let far: MySQLAdapter
  let keys = 0

  beforeAll(async () => {
    near = await context.adapter()
  })

  beforeEach(async () => {
    proxy = await TcpProxy.start(context.url)
    pool = createPool({ uri: proxy.url })
    far = new MySQLAdapter(pool, { timeout: 1_000 })
  })

  afterEach(async () => {
    await far.disconnect()
    await pool.end().catch(() => {})
    await proxy.stop()
  })

  const pair = (): [CircuitBreaker, CircuitBreaker] => {
    const key = `away ${++keys}`
    return [far.circuits.breaker(key, options), near.circuits.breaker(key, options)]
  }
  const soon = { timeout: 6_000, interval: 20 }
  const failures = (breaker: CircuitBreaker) => near.getState(breaker.key).then((state) => state?.failureCount)

  describe.each<[string, () => unknown, () => unknown]>([
    ['hangs', () => proxy.hang(), () => proxy.resume()],
    ['refuses connections', () => proxy.stop(), () => proxy.listen()],
  ])('and %s', (_, leave, comeBack) => {
    it('go on, open and probe on their own, and agree again when it is back', async () => {
      const [breaker, other] = pair()
      expect((await callInTurn(breaker, 5, works)).outcomes).toEqual(Array(5).fill('answer'))
      await other.refresh()
      await leave()

      // No call is rejected, and at most one waits for the database; others may wait for this machine.
      const { outcomes, slow } = await callInTurn(breaker, 60, works)
      expect(outcomes).toEqual(Array(60).fill('answer'))
      expect(slow.length).toBeLessThanOrEqual(3)
      for (const took of slow) expect(took).toBeLessThan(2_000)

      // It opens, and a failed probe makes the outage longer.
      const opening = await callInTurn(breaker, 8, fails)
      expect(opening.outcomes).toEqual([...Array(5).fill('down'), ...Array(3).fill('rejected')])
      await sleep(options.resetTimeout)
      const probing = await callInTurn(breaker, 5, fails)
      expect(probing.outcomes).toEqual(['down', ...Array(4).fill('rejected')])
      await sleep(2 * options.resetTimeout)
      expect((await callInTurn(breaker, 5, works)).outcomes).toEqual(Array(5).fill('answer'))

      // What it counts meanwhile is told when the database is back.
      expect((await callInTurn(breaker, 3, fails)).outcomes).toEqual(Array(3).fill('down'))
      expect(await failures(breaker)).not.toBe(3)
      await comeBack()
      await expect.poll(() => failures(breaker), soon).toBe(3)
      expect(await other.refresh()).toBe('closed')
      expect((await callInTurn(other, 2, fails)).outcomes).toEqual(['down', 'down'])
      await other.refresh()
      expect(other.state).toBe('open')
      await expect
        .poll(() => callInTurn(breaker, 1, fails).then(({ outcomes }) => outcomes), soon)
        .toEqual(['rejected'])
    })

    it('tell of an opening when it is back', async () => {
      const [breaker, other] = pair()
      await callInTurn(breaker, 1, works)
      await leave()
      await callInTurn(breaker, 5, fails)
      expect(breaker.state).toBe('open')
      expect(await other.refresh()).toBe('closed')
      await comeBack()
      await expect.poll(() => other.refresh(), soon).toBe('open')
      expect(await failures(other)).toBe(5)
    })

    it('do not hold up a probe for long, and let others probe when it is back', async () => {
      const [breaker, other] = pair()
      await callInTurn(breaker, 5, fails)
      await breaker.refresh()
      await sleep(options.resetTimeout + 50)
      const begin = performance.now()
      const probe = breaker.execute(async () => {
        await leave()
        return 'answer'
      })
      expect(await probe).toBe('answer')
      expect(performance.now() - begin).toBeLessThan(4_000)
      expect(breaker.state).toBe('closed')
      expect((await callInTurn(breaker, 5, works)).outcomes).toEqual(Array(5).fill('answer'))
      await comeBack()
      await expect
        .poll(() => callInTurn(other, 1, works).then(({ outcomes }) => outcomes), { timeout: 15_000, interval: 50 })
        .toEqual(['answer'])
      await expect.poll(() => Promise.all([other.refresh(), breaker.refresh()]), soon).toEqual(['closed', 'closed'])
    })
  })

  it('tell what was counted while a report was under way, without another call', async () => {
    const breaker = far.circuits.breaker('under way', { failureRateThreshold: 100, refreshInterval: REFRESH })
    await callInTurn(breaker, 1, fails)
    await breaker.refresh()
    proxy.hang()
    await callInTurn(breaker, 1, fails)
    const refreshing = breaker.refresh()
    await callInTurn(breaker, 1, fails)
    await sleep(3 * REFRESH)
    proxy.resume()
    await refreshing
    await expect.poll(() => failures(breaker), soon).toBe(3)
  })
})

describe.each<ServerName>(['mysql-9', 'mariadb-11.8'])('breakers on %s', (name) => {
  it('go on while the server is killed and starts again', async () => {
    const server = await startServer(name)
    const root = createPool({ uri: server.url })
    await root.query('create database races')
    const states = [new MySQLAdapter(`${server.url}/races`), new MySQLAdapter(`${server.url}/races`)]
    try {
      await states[0]?.connect()
      const breakers = states.map(({ circuits }) => circuits.breaker('restart', { ...options, failureThreshold: 20 }))
      await Promise.all(breakers.map((breaker) => callInTurn(breaker, 3, works)))
      let isBack = false
      const restart = server.restart('SIGKILL').then(() => {
        isBack = true
      })
      const calling = breakers.map(async (breaker) => {
        while (!isBack) {
          const { outcomes, slow } = await callInTurn(breaker, 10, works)
          expect(outcomes).toEqual(Array(10).fill('answer'))
          for (const took of slow) expect(took).toBeLessThan(2_000)
        }
      })
      await Promise.all([...calling, restart])
      // A success of either would start the other's count over.
      const ends = await Promise.all(breakers.map((breaker) => callInTurn(breaker, 3, fails)))
      expect(ends.flatMap(({ outcomes }) => outcomes)).toEqual(Array(6).fill('down'))
      await expect
        .poll(() => states[0]?.getState('restart').catch(String), { timeout: 10_000 })
        .toMatchObject({ state: 'closed', failureCount: 6 })
    } finally {
      await Promise.all(states.map((state) => state.disconnect()))
      await root.end().catch(() => {})
      await server.stop()
    }
  })
})
