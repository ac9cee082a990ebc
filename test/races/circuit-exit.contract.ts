import { once } from 'node:events'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import type { Exit } from './circuit-exit.js'

onEveryServer('a process with breakers and subscriptions', (context) => {
  beforeAll(() => context.adapter())

  /** Runs a process to its end, and resolves with the milliseconds it took to end. */
  const run = async (exit: Omit<Exit, 'url'>): Promise<number> => {
    const child = new Child<string>('races/circuit-exit.ts', { url: context.url, ...exit })
    onTestFinished(() => child.kill())
    const exited = once(child.process, 'exit')
    await child.until((message) => message === 'ending')
    const begin = performance.now()
    await exited
    expect(child.process.exitCode).toBe(0)
    return performance.now() - begin
  }

  it('has reported all that it counted when it disconnects, and ends', async () => {
    expect(await run({ keyPrefix: 'disconnects:', disconnects: true })).toBeLessThan(5_000)
    const state = await context.adapter({ keyPrefix: 'disconnects:' })
    expect(await state.getState('streak')).toMatchObject({ state: 'closed', failureCount: 7 })
    const breaker = state.circuits.breaker('window', { failureRateThreshold: 50, minimumNumberOfCalls: 9 })
    expect(await breaker.refresh()).toBe('open')
    expect(await state.getState('probed')).toMatchObject({ state: 'half-open' })
  })

  it('is not kept alive by them when its pool has ended', async () => {
    expect(await run({ keyPrefix: 'just ends:', disconnects: false })).toBeLessThan(5_000)
  })
})
