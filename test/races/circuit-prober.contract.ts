import { setTimeout as sleep } from 'node:timers/promises'
import type { MySQLAdapter } from 'goscope-mysql'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { type Caller, Fleet, type ServedCall } from './circuit-fleet.js'

const PROBE_TTL = 600

onEveryServer('a prober', (context) => {
  let state: MySQLAdapter
  let fleet: Fleet
  let probers: [Caller, Caller]
  let keys = 0
  let key: string

  beforeAll(async () => {
    state = await context.adapter()
  })

  beforeEach(async () => {
    fleet = await Fleet.start(context.url, 2)
    probers = fleet.callers as unknown as [Caller, Caller]
    key = `probed ${++keys}`
    await fleet.use(key, { failureThreshold: 1, resetTimeout: 50, refreshInterval: 50, probeTtl: PROBE_TTL })
    fleet.service.fails = () => true
    await fleet.call(1)
    await fleet.refresh()
    fleet.service.forget()
    await sleep(100)
  })

  afterEach(async () => {
    for (const { child } of fleet.callers) child.process.kill('SIGCONT')
    await fleet.end()
  })

  const call = (caller: Caller) => caller.order({ do: 'call', calls: 1, kind: 'probe' })
  const refresh = (caller: Caller) => caller.order({ do: 'refresh' })

  /** Lets the first process probe, until the service has the call. Returns how that call ends. */
  const probeOf = async (caller: Caller) => {
    let end: (fails: boolean) => void = () => {}
    const fails = new Promise<boolean>((resolve) => {
      end = resolve
    })
    fleet.service.fails = (served) => (served.caller === caller ? fails : false)
    const outcome = call(caller).catch(() => 'killed')
    await expect.poll(() => fleet.service.calls.length, { interval: 5 }).toBe(1)
    return { end, outcome }
  }

  /** Calls until the service gets one. */
  const nextProbe = async (caller: Caller): Promise<ServedCall> => {
    await expect
      .poll(() => call(caller).then(() => fleet.service.calls.length), { interval: 20, timeout: 10_000 })
      .toBeGreaterThan(1)
    return fleet.service.calls[1] as ServedCall
  }

  it('that is killed in its probe is succeeded when its permit has expired, and nobody probes meanwhile', async () => {
    const [killed, successor] = probers
    const { outcome } = await probeOf(killed)
    // It keeps its permit for as long as it lives.
    const until = performance.now() + 1.5 * PROBE_TTL
    while (performance.now() < until) {
      expect(await call(successor)).toMatchObject({ rejected: 1 })
      await sleep(50)
    }
    const killedAt = performance.now()
    await killed.child.kill()
    expect(await outcome).toBe('killed')
    const next = await nextProbe(successor)
    expect(next.caller).toBe(successor)
    // It was renewed at a third of its time.
    expect(next.began - killedAt).toBeGreaterThan(PROBE_TTL / 2)
    expect(next.began - killedAt).toBeLessThan(PROBE_TTL + 3_000)
    expect(await refresh(successor)).toBe('closed')
    expect(await state.getState(key)).toMatchObject({ state: 'closed', failureCount: 0 })
    expect(fleet.service.most).toBe(1)
  })

  it('that was frozen past its permit changes nothing after another one has closed the circuit', async () => {
    const [frozen, successor] = probers
    const { end, outcome } = await probeOf(frozen)
    frozen.child.process.kill('SIGSTOP')
    end(true)
    await nextProbe(successor)
    expect(await refresh(successor)).toBe('closed')
    frozen.child.process.kill('SIGCONT')
    expect(await outcome).toMatchObject({ failed: 1 })
    expect(await fleet.refresh()).toEqual(['closed', 'closed'])
    expect(await state.getState(key)).toMatchObject({ state: 'closed', failureCount: 0 })
    expect(frozen.transitions).not.toContain('half-open to open')
    fleet.service.fails = () => false
    expect(await fleet.call(1)).toMatchObject({ answered: 2, rejected: 0 })
  })

  it.each([true, false])(
    'that was frozen past its permit changes nothing while another one probes (it fails: %s)',
    async (fails) => {
      const [frozen, successor] = probers
      const { end, outcome } = await probeOf(frozen)
      frozen.child.process.kill('SIGSTOP')
      end(fails)
      let endSuccessor: (fails: boolean) => void = () => {}
      const successorFails = new Promise<boolean>((resolve) => {
        endSuccessor = resolve
      })
      fleet.service.fails = () => successorFails
      const probing = (async () => {
        while (fleet.service.calls.length < 2) {
          await call(successor)
          await sleep(20)
        }
      })()
      // The test may have failed before it is awaited.
      probing.catch(() => {})
      await expect.poll(() => fleet.service.calls.length, { timeout: 10_000 }).toBe(2)
      frozen.child.process.kill('SIGCONT')
      expect(await outcome).toMatchObject(fails ? { failed: 1 } : { answered: 1 })
      expect(await refresh(frozen)).toBe('half-open')
      expect(await call(frozen)).toMatchObject({ rejected: 1 })
      endSuccessor(!fails)
      await probing
      expect(await fleet.refresh()).toEqual(fails ? ['closed', 'closed'] : ['open', 'open'])
    },
  )
})
