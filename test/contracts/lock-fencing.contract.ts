import { setTimeout as sleep } from 'node:timers/promises'
import type { MySQLAdapter } from 'goscope-mysql'
import { beforeAll, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { lockRow, taken } from '../support/locks.js'

onEveryServer('fencing tokens', (context) => {
  let state: MySQLAdapter
  let other: MySQLAdapter

  beforeAll(async () => {
    state = await context.adapter()
    other = await context.adapter()
  })

  it('grow strictly through release, force, expiry and the deletion of the row', async () => {
    const key = 'grow'
    const tokens: number[] = []
    const next = async (adapter: MySQLAdapter, ttl = 10_000) => {
      const lock = await taken(adapter.acquire(key, ttl))
      tokens.push(lock.fence)
      return lock
    }
    for (let round = 0; round < 3; round++) {
      const released = await next(state)
      await released.release()
      await next(other)
      await state.forceRelease(key)
      await next(state, 20)
      await sleep(60)
      await next(other)
      await context.admin.query('delete from go_goscope_locks where `key` = ?', [`lock:${key}`])
    }
    await next(state)
    expect(tokens).toHaveLength(13)
    expectStrictlyIncreasing(tokens)
  })

  it('grow strictly when the lock changes hands faster than the clock ticks', async () => {
    const tokens: number[] = []
    for (let round = 0; round < 40; round++) {
      const lock = await taken((round % 2 === 0 ? state : other).acquire('hand to hand', 10_000))
      tokens.push(lock.fence)
      await lock.release()
    }
    expectStrictlyIncreasing(tokens)
  })

  it('grow even when the row has seen a later clock', async () => {
    const lock = await taken(state.acquire('later clock', 10_000))
    await lock.release()
    await context.admin.query('update go_goscope_locks set fence = fence + 3600000000 where `key` = ?', [
      'lock:later clock',
    ])
    const successor = await taken(state.acquire('later clock', 10_000))
    expect(successor.fence).toBe(lock.fence + 3_600_000_001)
    expect(await successor.isValid()).toBe(true)
    expect(await successor.extend(20_000)).toBe(true)
  })

  it('are the ones stored, and exact numbers', async () => {
    const lock = await taken(state.acquire('stored', 10_000))
    expect(Number.isSafeInteger(lock.fence)).toBe(true)
    expect(String((await lockRow(context, 'stored')).fence)).toBe(String(lock.fence))
  })

  it('stay the same while the tenure lasts', async () => {
    const lock = await taken(state.acquire('lasting', 10_000, 'worker'))
    expect(await lock.extend(20_000)).toBe(true)
    expect(await state.extend('lasting', 30_000, 'worker')).toBe(true)
    expect(await other.acquire('lasting', 10_000)).toBeNull()
    expect((await taken(other.acquire('lasting', 10_000, 'worker'))).fence).toBe(lock.fence)
    expect(Number((await lockRow(context, 'lasting')).fence)).toBe(lock.fence)
  })

  it('change with a new tenure of the same owner', async () => {
    const first = await taken(state.acquire('new tenure', 10_000, 'worker'))
    await first.release()
    const second = await taken(state.acquire('new tenure', 30, 'worker'))
    await sleep(80)
    const third = await taken(state.acquire('new tenure', 10_000, 'worker'))
    expectStrictlyIncreasing([first.fence, second.fence, third.fence])
  })
})

function expectStrictlyIncreasing(tokens: readonly number[]): void {
  for (const [index, token] of tokens.entries()) {
    if (index > 0) expect(token, `token ${index}`).toBeGreaterThan(tokens[index - 1] ?? Number.POSITIVE_INFINITY)
  }
}
