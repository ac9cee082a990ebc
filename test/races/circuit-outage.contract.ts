import { setTimeout as sleep } from 'node:timers/promises'
import type { CircuitBreakerOptions, MySQLAdapter } from 'goscope-mysql'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { Fleet } from './circuit-fleet.js'

const REFRESH = 100
const RESET = 250
const PROCESSES = 3

onEveryServer('a service that fails and recovers under steady calls', (context) => {
  let state: MySQLAdapter
  let fleet: Fleet

  beforeAll(async () => {
    state = await context.adapter()
    fleet = await Fleet.start(context.url, PROCESSES)
  })

  afterAll(() => fleet.end())

  const untilStored = async (key: string, expected: string) => {
    await expect
      .poll(() => state.getState(key).then((stored) => stored?.state), { timeout: 10_000, interval: 10 })
      .toBe(expected)
  }

  it.each<[string, CircuitBreakerOptions]>([
    ['failure rate', { failureRateThreshold: 50, slidingWindow: 1_000, minimumNumberOfCalls: 20 }],
    ['failures in a row', { failureThreshold: 10 }],
  ])('is left alone but for single probes, and called again soon after (%s)', async (key, options) => {
    const { service } = fleet
    await fleet.use(key, {
      ...options,
      resetTimeout: RESET,
      resetTimeoutFactor: 2,
      maximumResetTimeout: 4 * RESET,
      refreshInterval: REFRESH,
    })
    const late: ((fails: boolean) => void)[] = []
    let isDown = false
    service.fails = ({ kind }) =>
      kind === 'slow' ? new Promise((resolve) => late.push(resolve)) : sleep(5 + Math.random() * 10, isDown)
    const steadyCalls = () => service.calls.filter(({ kind }) => kind === 'steady')

    // It works.
    await fleet.startCalling(4, 20)
    await sleep(500)
    const slow = fleet.call(10, 'slow')
    await expect.poll(() => late.length, { interval: 5 }).toBe(PROCESSES * 10)
    expect(fleet.told).toEqual({})

    // It fails: soon nobody calls it any more.
    isDown = true
    const failsSince = performance.now()
    await untilStored(key, 'open')
    expect(performance.now() - failsSince).toBeLessThan(3_000)

    // Late successes of calls from before the opening.
    for (const end of late.splice(0, PROCESSES * 5)) end(false)

    // Single probes, at longer and longer distances.
    const failedProbes = async () => {
      const stored = await state.circuits.list({ prefix: key })
      return stored.find((circuit) => circuit.key === key)?.attempt ?? 0
    }
    await expect.poll(failedProbes, { timeout: 10_000, interval: 20 }).toBe(3)
    const [first, second, third] = steadyCalls()
      .slice(-3)
      .map(({ began }) => began) as [number, number, number]
    expect(first - failsSince).toBeGreaterThanOrEqual(RESET)
    expect(second - first).toBeGreaterThanOrEqual(2 * RESET)
    expect(third - second).toBeGreaterThanOrEqual(4 * RESET)
    expect(third - failsSince).toBeLessThan(8_000)

    // It recovers: the next probe closes the circuit, for all.
    isDown = false
    const recovered = performance.now()
    await untilStored(key, 'closed')
    expect(performance.now() - recovered).toBeLessThan(4 * RESET + 3_000)
    for (const caller of fleet.callers) {
      await expect
        .poll(() => steadyCalls().filter((call) => call.caller === caller && call.began > recovered).length, {
          timeout: 5_000,
        })
        .toBeGreaterThan(3)
    }

    // Late failures of calls from before the opening, more than enough to open it again.
    for (const end of late.splice(0)) end(true)
    await slow
    expect(new Set(await fleet.refresh())).toEqual(new Set(['closed']))

    const outcomes = await fleet.stopCalling()
    expect(outcomes.unexpected).toEqual([])
    expect(outcomes.rejected).toBeGreaterThan(0)
    const { told } = fleet
    expect(told).toMatchObject({ 'closed to open': 1, 'half-open to closed': 1 })
    expect(told['open to half-open']).toBe((told['half-open to open'] ?? 0) + 1)
  })

  it('is called by all in the end, however it flaps', async () => {
    const { service } = fleet
    await fleet.use('flapping', {
      failureThreshold: 5,
      resetTimeout: 60,
      refreshInterval: 50,
      permittedProbes: 2,
      successThreshold: 2,
    })
    let isDown = false
    service.fails = () => sleep(Math.random() * 10, isDown)
    await fleet.startCalling(4, 10)
    for (let flap = 0; flap < 10; flap++) {
      isDown = !isDown
      await sleep(100 + Math.random() * 50)
    }
    isDown = false
    await untilStored('flapping', 'closed')
    await sleep(200)
    const outcomes = await fleet.stopCalling()
    expect(outcomes.unexpected).toEqual([])
    expect(new Set(await fleet.refresh())).toEqual(new Set(['closed']))
    expect(await fleet.call(5)).toMatchObject({ answered: PROCESSES * 5, rejected: 0 })
    const { told } = fleet
    expect(told['closed to open']).toBeGreaterThan(0)
    expect(told['half-open to closed']).toBe(told['closed to open'])
    expect(told['open to half-open']).toBe((told['half-open to open'] ?? 0) + (told['half-open to closed'] ?? 0))
  })
})
