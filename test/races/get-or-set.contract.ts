import { setTimeout as sleep } from 'node:timers/promises'
import type { GetOrSetOptions } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import type { MakerMessage, MakerOrder } from './value-makers.js'

const PROCESSES = 4
const CALLERS = 200

onEveryServer('a value that many callers in many processes want', (context) => {
  let makers: Child<MakerMessage>[] = []

  beforeAll(async () => {
    await context.adapter()
    await context.admin.query('create table run (made varchar(20) not null, process int not null) engine=InnoDB')
    makers = Array.from({ length: PROCESSES }, () => new Child('races/value-makers.ts', context.url))
    await Promise.all(makers.map((maker) => maker.until(({ state }) => state === 'ready')))
  })

  afterAll(async () => {
    await Promise.all(makers.map((maker) => maker.kill()))
  })

  const tell = (maker: Child<MakerMessage>, order: MakerOrder) => maker.process.send(order)
  const isIn = (key: string, state: MakerMessage['state']) => (message: MakerMessage) =>
    message.key === key && message.state === state
  const call = async (key: string, options: GetOrSetOptions) => {
    for (const maker of makers) tell(maker, { key, callers: CALLERS, options })
    await Promise.all(makers.map((maker) => maker.until(isIn(key, 'called'))))
  }
  const theMakerOf = async (key: string) => {
    const found = () => makers.filter(({ messages }) => messages.some(isIn(key, 'making')))
    await expect.poll(found, { timeout: 30_000 }).toHaveLength(1)
    return found()[0] as Child<MakerMessage>
  }
  const expectAllToGet = async (key: string, value: string) => {
    for (const maker of makers) {
      expect(await maker.until(isIn(key, 'answered'))).toMatchObject({ answers: new Array(CALLERS).fill(value) })
    }
  }
  const processesThatMade = async (key: string) => {
    const [rows] = await context.admin.query<RowDataPacket[]>('select process from run where made = ?', [key])
    return rows.map(({ process }) => process)
  }

  it('is made once and given to all', async () => {
    await call('missing', { ttl: 60_000 })
    const maker = await theMakerOf('missing')
    tell(maker, { finish: 'made' })
    await expectAllToGet('missing', 'made')
    expect(await processesThatMade('missing')).toEqual([maker.process.pid])
  })

  it('is given to all at once when it is stale, while one of them makes it anew', async () => {
    const options = { ttl: 100, stale: 60_000 }
    const { cache } = await context.adapter()
    await cache.getOrSet('stale', () => 'old', options)
    await sleep(200)
    await call('stale', options)
    // Everybody has an answer before the new value is made.
    await expectAllToGet('stale', 'old')
    const maker = await theMakerOf('stale')
    tell(maker, { finish: 'new' })
    await expect.poll(() => cache.get('stale'), { timeout: 30_000 }).toBe('new')
    expect(await processesThatMade('stale')).toEqual([maker.process.pid])
  })

  it('is made by another process when the one at it is killed, but not while that one lives', async () => {
    await call('orphaned', { ttl: 60_000, lockTtl: 2_000 })
    const victim = await theMakerOf('orphaned')
    await sleep(2_500)
    expect(await processesThatMade('orphaned')).toEqual([victim.process.pid])
    makers = makers.filter((maker) => maker !== victim)
    await victim.kill()
    const successor = await theMakerOf('orphaned')
    tell(successor, { finish: 'made by the successor' })
    await expectAllToGet('orphaned', 'made by the successor')
    expect(await processesThatMade('orphaned')).toEqual([victim.process.pid, successor.process.pid])
  })

  it('is not replaced by an older one when its maker was frozen until another had taken over', async () => {
    const [maker] = makers
    if (maker === undefined) throw new Error('expected a process')
    tell(maker, { key: 'frozen', callers: 1, options: { lockTtl: 500 } })
    await maker.until(isIn('frozen', 'making'))
    maker.process.kill('SIGSTOP')
    const { cache } = await context.adapter()
    expect(await cache.getOrSet('frozen', () => 'new')).toBe('new')
    tell(maker, { finish: 'old' })
    await sleep(100)
    maker.process.kill('SIGCONT')
    expect(await maker.until(isIn('frozen', 'answered'))).toMatchObject({ answers: ['old'] })
    expect(await cache.get('frozen')).toBe('new')
  })
})
