/* Port: work handed from any thread to the one that runs a loop. Real: api/runtime/loop. */
#ifndef QUORATE_MAILBOX_H
#define QUORATE_MAILBOX_H

/* Embedded in its owner's struct; must stay in place until `run` is called, and may be reused then.
 */
struct quo_task {
    void (*run)(struct quo_task *task); /* in the loop thread */
    struct quo_task *next;              /* the mailbox's own while posted */
};

struct quo_mailbox;

struct quo_mailbox_ops {
    /* Any thread. Tasks of one thread run in the order of their posts. Cannot fail. */
    void (*post)(struct quo_mailbox *mailbox, struct quo_task *task);
};

struct quo_mailbox {
    const struct quo_mailbox_ops *ops;
};

#endif
