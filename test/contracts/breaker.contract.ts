import { EventEmitter, getEventListeners, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CallTimeoutError,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  CircuitOpenError,
  type CircuitTransition,
  InvalidArgumentError,
  MySQLAdapter,
  NotConnectedError,
} from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { beforeAll, describe, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import { countStatements } from '../support/statements.js'

onEveryServer('circuit breaker', (context) => {
  let here: MySQLAdapter
  let there: MySQLAdapter

  beforeAll(async () => {
    here = await context.adapter()
    there = await context.adapter()
  })

  let keys = 0
  /** Two breakers of one circuit that share nothing but the database. */
  const pair = (options: CircuitBreakerOptions = {}): [CircuitBreaker, CircuitBreaker] => {
    const key = `service ${++keys}`
    return [here.circuits.breaker(key, options), there.circuits.breaker(key, options)]
  }

  const down = new Error('the service is down')
  const works = () => 'answer'
  const fails = () => Promise.reject(down)
  const failTimes = async (breaker: CircuitBreaker, times: number) => {
    for (let call = 0; call < times; call++) await expect(breaker.execute(fails)).rejects.toBe(down)
  }
  const rejection = async (breaker: CircuitBreaker): Promise<CircuitOpenError> => {
    const error = await breaker.execute(works).catch((thrown: unknown) => thrown)
    if (error instanceof CircuitOpenError) return error
    throw new Error(`expected a CircuitOpenError, got ${String(error)}`)
  }
  const stored = async (breaker: CircuitBreaker) => {
    const found = await here.circuits.list({ prefix: breaker.key })
    return found.find(({ key }) => key === breaker.key)
  }

  describe('while closed', () => {
    it('makes the call and returns what it returns, or throws what it throws', async () => {
      const [breaker] = pair()
      expect(await breaker.execute(works)).toBe('answer')
      expect(await breaker.execute(async () => undefined)).toBeUndefined()
      await expect(breaker.execute(fails)).rejects.toBe(down)
      await expect(
        breaker.execute(() => {
          throw down
        }),
      ).rejects.toBe(down)
      expect(breaker.state).toBe('closed')
    })

    it.each<[string, CircuitBreakerOptions]>([
      ['failures in a row', {}],
      ['a failure rate', { failureRateThreshold: 50 }],
    ])('adds hardly a statement to 1,000 successful calls, counting %s', async (_, options) => {
      const pool = context.pool({ connectionLimit: 1 })
      const state = new MySQLAdapter(pool)
      const breaker = state.circuits.breaker(`costs ${++keys}`, options)
      await breaker.execute(works)
      await breaker.refresh()
      const sent = await countStatements(pool, async () => {
        for (let call = 0; call < 1_000; call++) await breaker.execute(works)
      })
      expect(sent).toBeLessThanOrEqual(5)
    })
  })

  describe('counting failures in a row', () => {
    it('opens at the threshold: here at once, elsewhere with the next look', async () => {
      const [breaker, other] = pair({ failureThreshold: 3 })
      await failTimes(breaker, 2)
      expect(breaker.state).toBe('closed')
      await failTimes(breaker, 1)
      expect(breaker.state).toBe('open')
      await rejection(breaker)
      await breaker.refresh()
      expect(await other.refresh()).toBe('open')
      await rejection(other)
      expect(await stored(breaker)).toMatchObject({ state: 'open', failureCount: 3 })
    })

    it('adds up what all processes count', async () => {
      const [breaker, other] = pair({ failureThreshold: 4 })
      await failTimes(breaker, 2)
      await breaker.refresh()
      await failTimes(other, 2)
      await other.refresh()
      expect(other.state).toBe('open')
      expect(await breaker.refresh()).toBe('open')
    })

    it('starts over with a success, whichever process had it', async () => {
      const [breaker, other] = pair({ failureThreshold: 3 })
      await failTimes(breaker, 2)
      await breaker.execute(works)
      await failTimes(breaker, 2)
      await breaker.refresh()
      expect(breaker.state).toBe('closed')
      await other.refresh()
      await other.execute(works)
      await other.refresh()
      expect(await stored(breaker)).toMatchObject({ state: 'closed', failureCount: 0 })
      await breaker.refresh()
      await failTimes(breaker, 2)
      expect(await breaker.refresh()).toBe('closed')
    })

    it('takes an error that does not count for a success: the service answered', async () => {
      const [breaker] = pair({ failureThreshold: 2, shouldTrip: (error) => error === down })
      const notFound = new Error('no such account')
      for (let round = 0; round < 3; round++) {
        await failTimes(breaker, 1)
        await expect(breaker.execute(() => Promise.reject(notFound))).rejects.toBe(notFound)
      }
      expect(breaker.state).toBe('closed')
      await failTimes(breaker, 2)
      expect(breaker.state).toBe('open')
    })

    it('agrees with recordFailure and setState', async () => {
      const [breaker, other] = pair({ failureThreshold: 3 })
      await here.recordFailure(breaker.key, 3)
      await here.recordFailure(breaker.key, 3)
      await breaker.refresh()
      await failTimes(breaker, 1)
      expect(breaker.state).toBe('open')
      await breaker.refresh()
      expect(await there.getState(breaker.key)).toMatchObject({ state: 'open', failureCount: 3 })
      await there.setState(breaker.key, { state: 'closed', failureCount: 0 })
      expect(await breaker.refresh()).toBe('closed')
      expect(await other.refresh()).toBe('closed')
      expect(await breaker.execute(works)).toBe('answer')
    })
  })

  describe('counting a failure rate', () => {
    const options = { failureRateThreshold: 50, minimumNumberOfCalls: 4, slidingWindow: 30_000 }

    it('opens when the rate is reached, not before there are enough calls', async () => {
      const [breaker] = pair(options)
      await failTimes(breaker, 3)
      expect(breaker.state).toBe('closed')
      const [calmer] = pair(options)
      for (let call = 0; call < 3; call++) await calmer.execute(works)
      await failTimes(calmer, 2)
      expect(calmer.state).toBe('closed')
      await failTimes(calmer, 1)
      expect(calmer.state).toBe('open')
      await failTimes(breaker, 1)
      expect(breaker.state).toBe('open')
    })

    it('adds up what all processes count, successes too', async () => {
      const [breaker, other] = pair(options)
      for (let call = 0; call < 4; call++) await other.execute(works)
      await other.refresh()
      await breaker.refresh()
      await failTimes(breaker, 3)
      await breaker.refresh()
      expect(breaker.state).toBe('closed')
      await other.refresh()
      await failTimes(other, 1)
      expect(other.state).toBe('open')
      await other.refresh()
      expect(await breaker.refresh()).toBe('open')
    })

    it('forgets calls that are older than the window', async () => {
      const [breaker, other] = pair({ ...options, slidingWindow: 200 })
      await failTimes(breaker, 3)
      await breaker.refresh()
      await sleep(300)
      await failTimes(breaker, 1)
      await other.refresh()
      await failTimes(other, 1)
      expect(await other.refresh()).toBe('closed')
      expect(await breaker.refresh()).toBe('closed')
    })

    it('begins anew when the circuit has closed again', async () => {
      const [breaker] = pair({ ...options, resetTimeout: 50 })
      await failTimes(breaker, 4)
      await breaker.refresh()
      await sleep(100)
      await breaker.execute(works)
      expect(breaker.state).toBe('closed')
      await failTimes(breaker, 3)
      expect(await breaker.refresh()).toBe('closed')
    })
  })

  it('opens only when enough processes saw failures', async () => {
    for (const options of [
      { failureThreshold: 2, minimumInstances: 2 },
      { failureRateThreshold: 50, minimumNumberOfCalls: 2, minimumInstances: 2 },
    ]) {
      const [breaker, sameProcess] = pair(options)
      await failTimes(breaker, 5)
      await breaker.refresh()
      await sameProcess.refresh()
      await failTimes(sameProcess, 5)
      expect(await sameProcess.refresh()).toBe('closed')
      expect(await breaker.refresh()).toBe('closed')
      const child = new Child<string>('contracts/breaker-failures.ts', { url: context.url, key: breaker.key, options })
      expect(await child.end()).toEqual(['open'])
      expect(await breaker.refresh()).toBe('open')
      const instances = (await stored(breaker))?.failures.map(({ instance }) => instance)
      expect(new Set(instances).size).toBe(2)
    }
  })

  describe('while open', () => {
    it('rejects at once, without making the call, and says when to come again', async () => {
      const [breaker] = pair({ failureThreshold: 1, resetTimeout: 20_000 })
      await failTimes(breaker, 1)
      let made = 0
      const error = await breaker.execute(() => ++made).catch((thrown: unknown) => thrown)
      expect(made).toBe(0)
      expect(error).toBeInstanceOf(CircuitOpenError)
      expect(error).toMatchObject({ code: 'CIRCUIT_OPEN', retryable: true, operation: 'execute' })
      const { retryAfter } = error as CircuitOpenError
      expect(retryAfter).toBeGreaterThan(15_000)
      expect(retryAfter).toBeLessThanOrEqual(20_000)
    })

    it('lets one probe of many callers through when the time has come, and closes when it succeeds', async () => {
      const transitions: CircuitTransition[] = []
      const options = {
        failureThreshold: 1,
        resetTimeout: 100,
        onTransition: (told: CircuitTransition) => transitions.push(told),
      }
      const [breaker, other] = pair(options)
      await failTimes(breaker, 1)
      await breaker.refresh()
      await other.refresh()
      await sleep(150)
      let made = 0
      const probe = async () => {
        made++
        await sleep(50)
        return 'answer'
      }
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, caller) =>
          (caller % 2 === 0 ? breaker : other).execute(probe).catch((error: unknown) => error),
        ),
      )
      expect(made).toBe(1)
      expect(outcomes.filter((outcome) => outcome === 'answer')).toHaveLength(1)
      expect(outcomes.filter((outcome) => outcome instanceof CircuitOpenError)).toHaveLength(19)
      expect(await breaker.refresh()).toBe('closed')
      expect(await other.refresh()).toBe('closed')
      expect(transitions.map(({ from, to }) => `${from} to ${to}`)).toEqual([
        'closed to open',
        'open to half-open',
        'half-open to closed',
      ])
    })

    it('probes in six round trips', async () => {
      const pool = context.pool({ connectionLimit: 1 })
      const state = new MySQLAdapter(pool)
      const options = { failureThreshold: 1, resetTimeout: 50, refreshInterval: 60_000 }
      const breaker = state.circuits.breaker(`probe costs ${++keys}`, options)
      const probe = async () => {
        await failTimes(breaker, 1)
        await breaker.refresh()
        await sleep(100)
        return countStatements(pool, () => breaker.execute(works))
      }
      await probe()
      expect(breaker.state).toBe('closed')
      expect(await probe()).toBe(6)
      expect(breaker.state).toBe('closed')
    })

    it('stays open for longer after each failed probe, up to a maximum', async () => {
      const [breaker] = pair({
        failureThreshold: 1,
        resetTimeout: 60,
        resetTimeoutFactor: 100,
        maximumResetTimeout: 4_000,
      })
      await failTimes(breaker, 1)
      await breaker.refresh()
      await sleep(100)
      await failTimes(breaker, 1)
      expect(breaker.state).toBe('open')
      const { retryAfter } = await rejection(breaker)
      expect(retryAfter).toBeGreaterThan(2_000)
      expect(retryAfter).toBeLessThanOrEqual(4_000)
      expect(await stored(breaker)).toMatchObject({ state: 'open', attempt: 1, failureCount: 2 })
    })

    it('closes only after as many successful probes as asked for', async () => {
      const [breaker] = pair({ failureThreshold: 1, resetTimeout: 50, successThreshold: 3 })
      await failTimes(breaker, 1)
      await breaker.refresh()
      await sleep(100)
      const states: string[] = []
      for (let probe = 0; probe < 3; probe++) {
        await breaker.execute(works)
        states.push(breaker.state)
      }
      expect(states).toEqual(['half-open', 'half-open', 'closed'])
    })

    it('permits as many probes at once as asked for', async () => {
      const [breaker, other] = pair({ failureThreshold: 1, resetTimeout: 50, successThreshold: 3, permittedProbes: 3 })
      await failTimes(breaker, 1)
      await breaker.refresh()
      await other.refresh()
      await sleep(100)
      let running = 0
      let most = 0
      const probe = async () => {
        most = Math.max(most, ++running)
        await sleep(200)
        running--
      }
      const callers = [breaker, breaker, other, other, other, breaker, other]
      const outcomes = await Promise.allSettled(callers.map((caller) => caller.execute(probe)))
      expect(most).toBe(3)
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
      expect(await breaker.refresh()).toBe('closed')
    })

    it('takes a probe that its caller gave up for none', async () => {
      const [breaker] = pair({ failureThreshold: 1, resetTimeout: 50 })
      await failTimes(breaker, 1)
      await breaker.refresh()
      await sleep(100)
      const caller = new AbortController()
      const probing = breaker.execute(({ signal }) => sleep(10_000, undefined, { signal }), { signal: caller.signal })
      setTimeout(() => caller.abort(new Error('no longer interested')), 50)
      await expect(probing).rejects.toThrow('no longer interested')
      expect(breaker.state).toBe('half-open')
      expect(await breaker.execute(works)).toBe('answer')
      expect(breaker.state).toBe('closed')
    })

    it('ignores the late results of calls that began before', async () => {
      const [breaker] = pair({ failureThreshold: 2, resetTimeout: 50 })
      const service = new EventEmitter()
      const failsLate = async () => {
        await once(service, 'failure')
        throw down
      }
      const slow = [breaker.execute(failsLate), breaker.execute(failsLate)]
      const slowSuccess = breaker.execute(() => once(service, 'success'))
      // Until all of them have been let through.
      await expect.poll(() => service.listenerCount('failure') + service.listenerCount('success')).toBe(3)
      await failTimes(breaker, 2)
      await breaker.refresh()
      service.emit('success')
      await slowSuccess
      expect(await breaker.refresh()).toBe('open')
      await sleep(100)
      await breaker.execute(works)
      expect(breaker.state).toBe('closed')
      service.emit('failure')
      await Promise.allSettled(slow)
      expect(await breaker.refresh()).toBe('closed')
      expect(await stored(breaker)).toMatchObject({ failureCount: 0 })
    })
  })

  describe('a call', () => {
    it('that takes too long counts as failed, and is told so', async () => {
      const [breaker] = pair({ failureThreshold: 1, timeout: 50 })
      let told: unknown
      const call = breaker.execute(({ signal }) => {
        signal.addEventListener('abort', () => {
          told = signal.reason
        })
        return new Promise(() => {})
      })
      await expect(call).rejects.toBeInstanceOf(CallTimeoutError)
      expect(told).toMatchObject({ code: 'CALL_TIMEOUT', retryable: true })
      expect(breaker.state).toBe('open')
    })

    it('that its caller gave up counts neither way, and leaves nothing on the signal', async () => {
      const [breaker] = pair({ failureThreshold: 1 })
      const { signal } = new AbortController()
      for (let call = 0; call < 5; call++) await breaker.execute(works, { signal })
      expect(getEventListeners(signal, 'abort')).toHaveLength(0)
      const caller = new AbortController()
      const reason = new Error('no longer interested')
      const given = breaker.execute(() => new Promise(() => {}), { signal: caller.signal })
      caller.abort(reason)
      await expect(given).rejects.toBe(reason)
      await expect(breaker.execute(works, { signal: caller.signal })).rejects.toBe(reason)
      expect(breaker.state).toBe('closed')
    })

    it('that fails or is not let through has a fallback', async () => {
      const [breaker] = pair({ failureThreshold: 1 })
      const errors: unknown[] = []
      const fallback = (error: unknown) => {
        errors.push(error)
        return 'yesterday'
      }
      expect(await breaker.execute(works, { fallback })).toBe('answer')
      expect(await breaker.execute(fails, { fallback })).toBe('yesterday')
      expect(await breaker.execute(works, { fallback })).toBe('yesterday')
      expect(errors).toEqual([down, expect.any(CircuitOpenError)])
    })
  })

  describe('by hand', () => {
    it('is isolated for all processes until it is reset', async () => {
      const [breaker, other] = pair({ resetTimeout: 20 })
      await breaker.isolate()
      expect(await other.refresh()).toBe('open')
      await sleep(50)
      for (const one of [breaker, other]) {
        const error = await rejection(one)
        expect(error.retryAfter).toBe(Number.POSITIVE_INFINITY)
        expect(error.message).toContain('isolated')
      }
      expect(await stored(breaker)).toMatchObject({ state: 'open', isIsolated: true })
      await other.reset()
      expect(await other.execute(works)).toBe('answer')
      expect(await breaker.refresh()).toBe('closed')
      expect(await breaker.execute(works)).toBe('answer')
      expect(await stored(breaker)).toMatchObject({ state: 'closed', failureCount: 0, isIsolated: false })
    })

    it('is reset while open, or before anything was recorded', async () => {
      const [breaker, other] = pair({ failureThreshold: 1 })
      await breaker.reset()
      expect(await breaker.execute(works)).toBe('answer')
      await failTimes(breaker, 1)
      await breaker.refresh()
      await other.reset()
      expect(await breaker.refresh()).toBe('closed')
    })
  })

  describe('subscribe', () => {
    const watching = async (pollInterval = 50) => {
      const adapter = await context.adapter({ pollInterval })
      const told: string[] = []
      return { adapter, told, callback: ({ state }: { state: string }) => told.push(state) }
    }
    const until = async (told: readonly string[], expected: readonly string[]) => {
      await expect.poll(() => told, { timeout: 5_000, interval: 10 }).toEqual(expected)
    }

    it('tells of changes that other processes make, and of an outage that began before', async () => {
      const { adapter, told, callback } = await watching()
      const unsubscribe = adapter.subscribe('watched', callback)
      await there.recordFailure('watched', 1)
      await until(told, ['open'])
      await there.setState('watched', { state: 'half-open', failureCount: 1 })
      await until(told, ['open', 'half-open'])
      await there.recordSuccess('watched')
      await until(told, ['open', 'half-open', 'closed'])
      unsubscribe()
      unsubscribe()
      await there.recordFailure('watched', 1)
      const late: string[] = []
      adapter.subscribe('watched', ({ state }) => late.push(state))
      await until(late, ['open'])
      expect(told).toEqual(['open', 'half-open', 'closed'])
    })

    it('tells of changes from here at once, those of breakers too', async () => {
      const { adapter, told, callback } = await watching(60_000)
      adapter.circuits.subscribe('local', callback)
      await adapter.setState('local', { state: 'open', failureCount: 1 })
      await until(told, ['open'])
      await adapter.setState('local', { state: 'half-open', failureCount: 1 })
      await until(told, ['open', 'half-open'])
      await adapter.recordSuccess('local')
      await until(told, ['open', 'half-open', 'closed'])
      await failTimes(adapter.circuits.breaker('local', { failureThreshold: 1 }), 1)
      await until(told, ['open', 'half-open', 'closed', 'open'])
    })

    it('tells the whole state, whatever options the pool has', async () => {
      for (const options of [{}, { supportBigNumbers: true, bigNumberStrings: true }, { decimalNumbers: true }]) {
        const adapter = await context.adapter({ pollInterval: 50 }, options)
        const told: unknown[] = []
        adapter.subscribe('whole', (state) => told.push(state))
        const state = {
          state: 'open',
          failureCount: 7,
          lastFailureTime: 1_700_000_000_123,
          lastSuccessTime: 5,
        } as const
        await there.setState('whole', state)
        await expect.poll(() => told, { timeout: 5_000, interval: 10 }).toEqual([state])
        expect(await adapter.circuits.list({ prefix: 'whole' })).toMatchObject([{ ...state, attempt: 0 }])
      }
    })

    it('survives a callback that throws', async () => {
      const { adapter, told, callback } = await watching()
      const warnings: Error[] = []
      const onWarning = (warning: Error) => warnings.push(warning)
      process.on('warning', onWarning)
      adapter.subscribe('throwing', () => {
        throw new Error('the callback is broken')
      })
      adapter.subscribe('throwing', callback)
      await there.recordFailure('throwing', 1)
      await until(told, ['open'])
      await there.setState('throwing', { state: 'closed', failureCount: 0 })
      await until(told, ['open', 'closed'])
      process.off('warning', onWarning)
      expect(warnings.map(({ message }) => message)).toContain('the callback is broken')
    })

    it('ends with the adapter', async () => {
      const { adapter, told, callback } = await watching(20)
      adapter.subscribe('ended', callback)
      await adapter.disconnect()
      await there.recordFailure('ended', 1)
      await sleep(100)
      expect(told).toEqual([])
      expect(() => adapter.subscribe('ended', callback)).toThrow(NotConnectedError)
    })

    it('asks one question for all circuits', async () => {
      const pool = context.pool({ connectionLimit: 1 })
      const state = new MySQLAdapter(pool, { pollInterval: 60_000 })
      const told: string[] = []
      for (let index = 0; index < 10; index++) state.subscribe(`one of many ${index}`, ({ state }) => told.push(state))
      await state.getState('one of many 0')
      await state.setState('one of many 9', { state: 'open', failureCount: 1 })
      await until(told, ['open'])
      const sent = await countStatements(pool, async () => {
        await state.setState('one of many 9', { state: 'closed', failureCount: 1 })
        await until(told, ['open', 'closed'])
      })
      expect(sent).toBe(2)
      await state.disconnect()
    })
  })

  it('lists circuits by ascending key, with their latest failures', async () => {
    const state = await context.adapter({ keyPrefix: 'listed:' })
    for (const key of ['b 2', 'a', 'b 1', 'b%', 'B']) await state.recordFailure(key, 2, `reason of ${key}`)
    await state.recordFailure('b 1', 2, 'again')
    expect((await state.circuits.list()).map(({ key }) => key)).toEqual(['B', 'a', 'b 1', 'b 2', 'b%'])
    const [first, ...others] = await state.circuits.list({ prefix: 'b ' })
    expect(others.map(({ key }) => key)).toEqual(['b 2'])
    expect(first).toMatchObject({
      key: 'b 1',
      state: 'open',
      failureCount: 2,
      attempt: 0,
      isIsolated: false,
      openedAt: expect.any(Number),
      failures: [{ reason: 'again' }, { reason: 'reason of b 1' }],
    })
    expect(first?.failures[0]?.instance).toContain(String(process.pid))
    expect(await state.circuits.list({ prefix: 'c' })).toEqual([])
  })

  it('reports what it has counted before the adapter disconnects, and makes no calls afterwards', async () => {
    const adapter = await context.adapter()
    const key = `disconnected ${++keys}`
    const breaker = adapter.circuits.breaker(key, { failureThreshold: 10 })
    await failTimes(breaker, 3)
    await adapter.disconnect()
    expect(await here.getState(key)).toMatchObject({ failureCount: 3 })
    await expect(breaker.execute(works)).rejects.toBeInstanceOf(NotConnectedError)
  })

  it('decides on its own when there is no database', async () => {
    const pool = createPool({ host: '127.0.0.1', port: 9, connectTimeout: 1_000 })
    const alone = new MySQLAdapter(pool)
    const breaker = alone.circuits.breaker('alone', { failureThreshold: 2, resetTimeout: 100, resetTimeoutFactor: 50 })
    const begin = performance.now()
    expect(await breaker.execute(works)).toBe('answer')
    await failTimes(breaker, 2)
    await rejection(breaker)
    await sleep(150)
    await failTimes(breaker, 1)
    expect((await rejection(breaker)).retryAfter).toBeGreaterThan(2_000)
    expect(performance.now() - begin).toBeLessThan(5_000)
    await alone.disconnect()
    await pool.end()
  })

  it('goes by the options of the first use of a key, and refuses others', async () => {
    const [breaker] = pair({ failureThreshold: 2 })
    await failTimes(here.circuits.breaker(breaker.key, { failureThreshold: 2 }), 1)
    await failTimes(here.circuits.breaker(breaker.key, { failureThreshold: 2, timeout: 1_000 }), 1)
    expect(breaker.state).toBe('open')
    expect(() => here.circuits.breaker(breaker.key, { failureThreshold: 3 })).toThrow(InvalidArgumentError)
    expect(() => here.circuits.breaker(breaker.key)).toThrow(/failureThreshold: expected 2/)
  })

  it('refuses bad input', async () => {
    const bad: unknown[] = [
      null,
      { treshold: 3 },
      { failureThreshold: 0 },
      { failureThreshold: 1.5 },
      { failureThreshold: 3, failureRateThreshold: 50 },
      { failureRateThreshold: 0 },
      { failureRateThreshold: 101 },
      { failureRateThreshold: '50' },
      { slidingWindow: 1_000 },
      { minimumNumberOfCalls: 3 },
      { failureRateThreshold: 50, slidingWindow: 0 },
      { failureRateThreshold: 50, minimumNumberOfCalls: 0 },
      { minimumInstances: 0 },
      { resetTimeout: 0 },
      { resetTimeout: 2 ** 31 },
      { resetTimeout: '1000' },
      { resetTimeout: 1_000, maximumResetTimeout: 500 },
      { resetTimeoutFactor: 0.5 },
      { resetTimeoutFactor: Number.POSITIVE_INFINITY },
      { permittedProbes: 0 },
      { permittedProbes: 11 },
      { successThreshold: 0 },
      { probeTtl: 0 },
      { timeout: 0 },
      { timeout: Number.NaN },
      { refreshInterval: -1 },
      { shouldTrip: true },
      { onTransition: 'log' },
    ]
    for (const options of bad) {
      expect(
        () => here.circuits.breaker('bad input', options as CircuitBreakerOptions),
        JSON.stringify(options),
      ).toThrow(InvalidArgumentError)
    }
    expect(() => here.circuits.breaker('k'.repeat(600))).toThrow(InvalidArgumentError)
    expect(() => here.circuits.breaker(42 as unknown as string)).toThrow(InvalidArgumentError)
    expect(() => here.subscribe('bad input', 'callback' as never)).toThrow(InvalidArgumentError)
    await expect(here.circuits.list({ prefix: 3 as never })).rejects.toBeInstanceOf(InvalidArgumentError)
    const [breaker] = pair()
    await expect(breaker.execute('call' as never)).rejects.toBeInstanceOf(InvalidArgumentError)
    await expect(breaker.execute(works, { sgnal: null } as never)).rejects.toBeInstanceOf(InvalidArgumentError)
  })
})
