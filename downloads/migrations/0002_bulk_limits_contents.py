import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('downloads', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='JobContents',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='contents', serialize=False, to='downloads.job')),
                ('downloader', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='downloads.downloader')),
                ('remote_id', models.CharField(max_length=200)),
                ('files', models.JSONField(default=list, help_text='[name below the save path, bytes, progress 0..1, priority], in order.')),
                ('asked_at', models.DateTimeField(help_text='When the downloader said so.')),
                ('shown_at', models.DateTimeField(help_text='When somebody last looked at them.', null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='errand',
            name='errand_action_is_known',
        ),
        migrations.AddField(
            model_name='job',
            name='clear_at',
            field=models.DateTimeField(editable=False, help_text='It was deleted with its files, and these are still to go; until then somebody is at it.', null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='limit_note',
            field=models.CharField(blank=True, default='', editable=False, help_text='Why its rate limit is not kept by the downloader that has it.', max_length=300),
        ),
        migrations.AlterField(
            model_name='errand',
            name='action',
            field=models.CharField(choices=[('submit', 'Submit'), ('pause', 'Pause'), ('resume', 'Resume'), ('cancel', 'Cancel'), ('delete', 'Delete'), ('limit', 'Limit')], max_length=10),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('clear_at__isnull', False)), fields=['clear_at'], name='job_to_clear'),
        ),
        migrations.AddConstraint(
            model_name='errand',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['submit', 'pause', 'resume', 'cancel', 'delete', 'limit'])), name='errand_action_is_known'),
        ),
    ]
