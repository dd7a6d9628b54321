from django.urls import path

from annotation.reading import views, work

LISTS = "p/<slug:slug>/reading/"
LIST = f"{LISTS}<int:reading_list>/"
READING = "p/<slug:slug>/readings/<int:reading>/"

urlpatterns = [
    path(LISTS, views.lists, name="reading-lists"),
    path(f"{LISTS}new/", views.new, name="reading-list-new"),
    path(f"{LISTS}controls/<int:model>/", views.make_control, name="reading-control"),
    path(LIST, views.reading_list, name="reading-list"),
    path(f"{LIST}close/", views.close, name="reading-list-close"),
    path(f"{LIST}reopen/", views.reopen, name="reading-list-reopen"),
    path(f"{LIST}readers/add/", views.add_reader, name="reading-reader-add"),
    path(f"{LIST}readers/remove/", views.remove_reader, name="reading-reader-remove"),
    path(f"{LIST}read/", work.read, name="read"),
    path(f"{LIST}mine/", work.mine, name="reading-mine"),
    path(READING, work.reading, name="reading"),
    path(f"{READING}ahead/", work.ahead, name="reading-ahead"),
    path(f"{READING}leave/", work.leave, name="reading-leave"),
    path(f"{READING}label/", work.save, name="reading-label"),
    path(f"{READING}label/undo/", work.undo, name="reading-label-undo"),
    path(f"{READING}label/propose/", work.propose, name="reading-propose"),
    path(f"{READING}patches/<int:rank>.png", work.patch, name="reading-patch"),
]
