import { MySQLAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { beforeAll, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'

onEveryServer('contention for locks', (context) => {
  let clients: MySQLAdapter[]

  beforeAll(async () => {
    clients = [await context.adapter()]
    while (clients.length < 4) clients.push(new MySQLAdapter(context.pool()))
  })

  it('grants a fresh key to one of 50 contenders, and none gets an error', async () => {
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(contenders(50, clients, () => `one of 50, round ${round}`))
      expect(answers.filter((lock) => lock !== null)).toHaveLength(1)
    }
  })

  it('grants an expired and a released key to one of 50 contenders', async () => {
    for (const end of ['released', 'expired'] as const) {
      const lock = await clients[0]?.acquire(end, end === 'expired' ? 1 : 60_000)
      if (end === 'released') await lock?.release()
      else await expect.poll(() => lock?.isValid()).toBe(false)
      const answers = await Promise.all(contenders(50, clients, () => end))
      expect(answers.filter((lock) => lock !== null)).toHaveLength(1)
    }
  })

  it('grants each of 300 fresh keys once when 300 clients want each its own, and others want them too', async () => {
    const first = await Promise.all(contenders(300, clients, (index) => `own ${index}`))
    expect(first).not.toContain(null)

    const both = await Promise.all(contenders(600, clients, (index) => `shared ${index % 300}`))
    const granted = both.flatMap((lock) => (lock === null ? [] : [lock.key]))
    expect(granted).toHaveLength(300)
    expect(new Set(granted).size).toBe(300)
  })

  it('lets one owner in at a time when many take, hold and release in turns', async () => {
    let inside = 0
    let most = 0
    let grants = 0
    const tokens: number[] = []
    const worker = async (client: MySQLAdapter) => {
      for (let attempt = 0; attempt < 15; attempt++) {
        const lock = await client.acquire('turns', 60_000)
        if (lock === null) continue
        most = Math.max(most, ++inside)
        grants++
        tokens.push(lock.fence)
        await lock.isValid()
        inside--
        await lock.release()
      }
    }
    await Promise.all(Array.from({ length: 16 }, (_, index) => worker(clients[index % 4] as MySQLAdapter)))
    expect(most).toBe(1)
    expect(grants).toBeGreaterThan(1)
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  })

  it('lets one of four processes in at a time, so that no increment is lost', async () => {
    await context.admin.query('create table counter (value int not null)')
    await context.admin.query('insert into counter values (0)')
    await context.admin.query('create table inside (process int not null)')
    await context.admin.query(
      'create table witness (id int auto_increment primary key, fence bigint not null, holders int not null)',
    )
    const rounds = 12
    const children = Array.from({ length: 4 }, () => new Child('races/lock-contender.ts', { url: context.url, rounds }))
    await Promise.all(children.map((child) => child.until((message) => message === 'ready')))
    for (const child of children) child.process.send('go')
    await Promise.all(children.map((child) => child.end()))

    const [counters] = await context.admin.query<RowDataPacket[]>('select value from counter')
    expect(counters[0]?.value).toBe(4 * rounds)
    const [witness] = await context.admin.query<RowDataPacket[]>('select fence, holders from witness order by id')
    expect(witness).toHaveLength(4 * rounds)
    expect(witness.every(({ holders }) => holders === 1)).toBe(true)
    const tokens = witness.map(({ fence }) => fence)
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  })
})

function contenders(count: number, clients: readonly MySQLAdapter[], keyOf: (index: number) => string) {
  return Array.from({ length: count }, async (_, index) => {
    const client = clients[(index + Math.floor(index / 300)) % clients.length] as MySQLAdapter
    return client.acquire(keyOf(index), 60_000)
  })
}
